// `stsrelay report setup` and `selftest`: whether receivers will take this relay's reports.
#include <cstring>
#include <filesystem>
#include <memory>
#include <unistd.h>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/key_file.h"
#include "relay/cli/report_self_test.h"
#include "relay/cli/report_setup.h"
#include "relay/settings.h"

namespace relay::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSetupFooter =
    "Exit codes: 0 all is in place, 1 reports would be taken, with findings, 2 receivers would "
    "ignore them, 3 could not be determined, or wrong usage.";

struct SetupOptions {
  bool generate_keys = false;
};
struct SelfTestOptions {
  bool local = false;
  bool mail = false;
};

int give_up(const std::string& reason) {
  complain(reason);
  return kCheckUndetermined;
}

Expected<conf::Config, int> reports_configuration(const CommonOptions& common) {
  auto config = load_config(common.config_file);
  if (!config) {
    for (const std::string& error : config.error()) {
      complain(error);
    }
    return Unexpected<int>(kCheckUndetermined);
  }
  return std::move(*config);
}

void load(SetupKey& key) {
  auto loaded = load_dkim_key(key.file);
  if (loaded) {
    key.key = std::move(*loaded);
  } else {
    key.fault = std::move(loaded.error());
  }
}

ReportSetup setup_of(const CommonOptions& common, const conf::Config& config) {
  ReportSetup setup;
  setup.contact = config.reports.contact;
  for (const conf::ReportKey& key : config.reports.dkim) {
    setup.keys.push_back(
        {key.domain.empty() ? setup.domain() : key.domain, key.selector, key.key_file, {}, ""});
  }
  if (setup.keys.empty() && !setup.contact.empty()) {
    setup.origin = ReportSetup::Keys::proposed;
    const fs::path folder = fs::absolute(common.config_file).parent_path();
    setup.keys = proposed_keys(setup.domain(), folder.string());
  }
  return setup;
}

Expected<void, std::string> generate(const SetupKey& key, const std::optional<Account>& owner) {
  std::string pem = message::DkimKey::generate(kind_for(key.selector)).pem();
  auto written = write_key_file(key.file, pem, owner);
  ::explicit_bzero(pem.data(), pem.size());
  return written;
}

/// Makes what is missing. A file that is there stays as it is, whatever it holds.
Expected<void, std::string> generate_missing(const ReportSetup& setup, const std::string& user) {
  std::optional<Account> owner;
  if (::geteuid() == 0 && !user.empty()) {
    const auto account = find_account(user);
    if (!account) {
      return Unexpected<std::string>(account.error());
    }
    owner = *account;
  }
  for (const SetupKey& key : setup.keys) {
    std::error_code ignored;
    if (fs::exists(fs::symlink_status(key.file, ignored))) {
      continue;
    }
    if (auto made = generate(key, owner); !made) {
      return made;
    }
    complain(fmt::format("made {}", key.file));
  }
  return {};
}

std::string proposal(const ReportSetup& setup) {
  std::string text = "\nFor the configuration, below reports:\n  dkim:\n";
  for (const SetupKey& key : setup.keys) {
    text += fmt::format("    - selector: {}\n      key_file: {}\n", key.selector, key.file);
  }
  return text;
}

int set_up(const CommonOptions& common, const SetupOptions& options) {
  const auto config = reports_configuration(common);
  if (!config) {
    return config.error();
  }
  ReportSetup setup = setup_of(common, *config);
  if (options.generate_keys) {
    if (const auto made = generate_missing(setup, config->user); !made) {
      return give_up(made.error());
    }
  }
  for (SetupKey& key : setup.keys) {
    load(key);
  }
  auto dns = dns_options(*config);
  if (!dns) {
    return give_up(dns.error());
  }
  setup.answers = look_up_texts(names_to_ask(setup), std::move(*dns));
  const SetupReport report = report_on(setup);
  if (common.json) {
    print_json(to_json(report));
  } else {
    print(to_text(report));
    print(setup.origin == ReportSetup::Keys::proposed ? proposal(setup) : "");
  }
  return exit_code(report);
}

int self_test(const CommonOptions& common, const SelfTestOptions& options) {
  const auto config = reports_configuration(common);
  if (!config) {
    return config.error();
  }
  if (!config->reports.enabled()) {
    return give_up("reports.contact is not set; see `stsrelay report setup`");
  }
  const auto settings = report_settings(*config);
  if (!settings) {
    return give_up(settings.error());
  }
  SelfTest test = make_dummy(**settings, now());
  if (options.mail) {
    print(test.mail);
    return kDone;
  }
  if (options.local) {
    verify(test, **settings, local_records(**settings));
  } else {
    auto dns = dns_options(*config);
    if (!dns) {
      return give_up(dns.error());
    }
    verify(test, **settings, look_up_texts(key_names(test), std::move(*dns)));
  }
  if (common.json) {
    print_json(to_json(test));
  } else {
    print(to_text(test));
  }
  return exit_code(test);
}

}  // namespace

void add_report_setup(CLI::App& report, Invocation& invocation) {
  const auto setup_options = std::make_shared<SetupOptions>();
  CLI::App* const setup = add_printing_command(
      report, invocation, "setup",
      "The DNS records that reports need, and whether they are published as they should be",
      [&invocation, setup_options] { return set_up(invocation.common, *setup_options); });
  setup->footer(kSetupFooter);
  setup->add_flag("--generate-keys", setup_options->generate_keys,
                  "Make the key files that are missing: Ed25519 where the selector says ed25519, "
                  "else RSA of 2048 bits");

  const auto test_options = std::make_shared<SelfTestOptions>();
  CLI::App* const test = add_printing_command(
      report, invocation, "selftest",
      "Make and sign a report about nobody, read it back, and verify it by the published keys; "
      "nothing is sent",
      [&invocation, test_options] { return self_test(invocation.common, *test_options); });
  test->footer(kSetupFooter);
  test->add_flag("--local", test_options->local, "Verify by the keys here, without DNS");
  test->add_flag("--mail", test_options->mail, "Print the mail, for other verifiers");
}

}  // namespace relay::cli
