#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <unistd.h>

#include <fmt/format.h>

#include "relay/cli/check_daemon.h"
#include "relay/cli/check_report.h"
#include "relay/cli/check_survey.h"
#include "relay/cli/commands.h"
#include "relay/cli/ground.h"
#include "relay/settings.h"

namespace relay::cli {
namespace {

constexpr const char* kCheckFooter =
    "Exit codes: 0 good, 1 a message would be delivered, with findings, 2 it would be refused (or "
    "the policy in --policy-file is none), 3 could not be determined, or wrong usage. With "
    "--no-connect 0 and 1 speak of DNS and the policy only.";
constexpr std::size_t kMaxPolicyFile = 1U << 20;

struct CheckOptions {
  std::string domain, policy_file, mx;
  bool no_connect = false;
  unsigned timeout = 60;
  CLI::App* command = nullptr;
};

int fail(std::string_view reason) {
  complain(reason);
  return kCheckUndetermined;
}

Expected<PolicyExamination, std::string> policy_from(const std::string& file,
                                                     const std::string& domain) {
  PolicyExamination found;
  found.source = PolicyExamination::Source::file;
  found.where = file;
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream || text.str().size() > kMaxPolicyFile) {
    return Unexpected<std::string>(fmt::format("{}: cannot be read, or is no policy", file));
  }
  found.body = text.str();
  found.lint = lint(found.body, to_ascii);
  auto parsed = sts::parse_policy(found.body, sts::Strictness::tolerant, to_ascii);
  if (parsed.policy) {
    const net::WallTime time = now();
    const auto expires_at = time + parsed.policy->max_age;
    found.policy = std::make_shared<const sts::CachedPolicy>(
        sts::CachedPolicy{domain, "", std::move(*parsed.policy), time, expires_at});
  } else {
    found.fault =
        sts::DiscoveryFault{sts::DiscoveryFault::Kind::policy_invalid, parsed.failure_code()};
  }
  return found;
}

/// The socket to ask; empty: nobody named one.
std::string daemon_socket(const CommonOptions& common, const Ground& on) {
  if (!common.socket.empty()) {
    return common.socket;
  }
  return on.source == Ground::Source::file ? on.config.control.socket : std::string{};
}

int show(const CommonOptions& common, Examination examination) {
  const CheckReport report = report_on(std::move(examination));
  if (common.json) {
    print_json(to_json(report));
  } else {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread changes the environment
    const bool plain = ::isatty(STDOUT_FILENO) == 0 || std::getenv("NO_COLOR") != nullptr;
    print(to_text(report, plain ? Colour::none : Colour::ansi));
  }
  return check_exit_code(report.outcome, report.findings);
}

/// One line that each new one replaces, on a terminal only.
class Progress {
 public:
  Progress() = default;
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void say(const std::string& text) const {
    if (terminal_) {
      fmt::print(stderr, "\r\x1b[K{} …", printable(text));
    }
  }
  void clear() const {
    if (terminal_) {
      fmt::print(stderr, "\r\x1b[K");
    }
  }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) != 0;
};

Examination survey(SurveySettings settings) {
  net::EventLoop loop;
  const net::SystemClock clock;
  const Progress progress;
  Survey survey(
      loop, clock, std::move(settings), [&](const std::string& text) { progress.say(text); },
      [&] { loop.stop(); });
  survey.start();
  loop.run();
  return std::move(survey.examination());
}

/// overrides: that the daemon goes by.
Expected<SurveySettings, std::string> survey_settings(
    const CheckOptions& options, const Ground& on,
    const std::vector<spool::PolicyOverride>& overrides) {
  SurveySettings settings;
  settings.recipient_domain = options.domain;
  auto preload = load_preload(on.config);
  if (!preload) {
    return Unexpected<std::string>(preload.error().front());
  }
  settings.worker =
      worker_settings(on.config, {},
                      std::make_shared<const delivery::LocalRules>(
                          delivery::LocalRules::Sources{on.config.tls_policy, *preload, overrides}),
                      {});
  auto hop = delivery::next_hop(on.config.routes, {options.domain}, settings.worker->smtp_port);
  if (const auto* end = std::get_if<delivery::Undeliverable>(&hop)) {
    return Unexpected<std::string>(end->reason);
  }
  settings.next_hop = std::get<delivery::NextHop>(std::move(hop));
  if (!settings.next_hop.policy_domain()) {
    return Unexpected<std::string>(
        fmt::format("a route sends mail for {} to {}: no policy applies to an address",
                    options.domain, settings.next_hop.key()));
  }
  settings.rule =
      settings.worker->rules->find(settings.next_hop.policy_domain(), net::SystemClock().wall());
  settings.composition = settings.worker->composition;
  if (!options.mx.empty()) {
    auto host = net::DomainName::parse(options.mx);
    if (!host) {
      return Unexpected<std::string>(fmt::format("--mx: {}", host.error().reason));
    }
    settings.only_host = std::move(*host);
  }
  auto tls = net::TlsClientContext::create(settings.worker->ca_file, settings.worker->revocation);
  if (!tls) {
    return Unexpected<std::string>(tls.error());
  }
  settings.tls = std::move(*tls);
  auto dns = dns_options(on.config);
  if (!dns) {
    return Unexpected<std::string>(dns.error());
  }
  settings.dns = std::move(*dns);
  settings.time = std::chrono::seconds(options.timeout);
  settings.connecting =
      options.no_connect ? Examination::Connecting::no : Examination::Connecting::yes;
  if (on.source == Ground::Source::file) {
    settings.own_name = on.config.hostname;
  }
  return settings;
}

int check_domain(const CommonOptions& common, const CheckOptions& options,
                 PolicyExamination policy) {
  const auto on = ground(common, *options.command);
  if (!on) {
    for (const std::string& error : on.error()) {
      complain(error);
    }
    return kCheckUndetermined;
  }
  const std::string socket = daemon_socket(common, *on);
  Expected<std::vector<spool::PolicyOverride>, std::string> overrides;
  if (!socket.empty()) {
    overrides = daemon_overrides(socket);
  }
  auto settings =
      survey_settings(options, *on, overrides ? *overrides : std::vector<spool::PolicyOverride>{});
  if (!settings) {
    return fail(settings.error());
  }
  settings->policy = std::move(policy);
  DaemonCache daemon;
  if (!overrides) {
    daemon.state = DaemonCache::State::unreachable;
    daemon.detail = overrides.error();
  } else if (!socket.empty()) {
    daemon = daemon_cache(socket, settings->next_hop.policy_domain()->text());
    settings->cached = daemon.policy;
  }
  Examination examination = survey(std::move(*settings));
  examination.daemon = std::move(daemon);
  return show(common, std::move(examination));
}

int check(const CommonOptions& common, const CheckOptions& options) {
  PolicyExamination policy;
  if (!options.policy_file.empty()) {
    auto found = policy_from(options.policy_file, options.domain);
    if (!found) {
      return fail(found.error());
    }
    policy = std::move(*found);
  } else if (options.domain.empty()) {
    return fail("check: name a domain, or a policy with --policy-file");
  }
  if (!options.domain.empty()) {
    return check_domain(common, options, std::move(policy));
  }
  Examination examination;
  examination.policy = std::move(policy);
  return show(common, std::move(examination));
}

int guarded_check(const CommonOptions& common, const CheckOptions& options) {
  try {
    return check(common, options);
  } catch (const std::exception& fault) {
    return fail(fault.what());
  }
}

}  // namespace

void add_check(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<CheckOptions>();
  CLI::App* const command = add_asking_command(
      app, invocation, "check",
      "What would become of a message to a domain: its MX hosts, policies, certificates, and what "
      "to mend. Needs no daemon; sends no mail",
      [&invocation, options] { return guarded_check(invocation.common, *options); });
  options->command = command;
  command->footer(kCheckFooter);
  command->add_option("domain", options->domain, "Recipient domain");
  command
      ->add_option("--policy-file", options->policy_file,
                   "Judge this policy, as if it were published; alone: only lint it")
      ->type_name("FILE");
  command->add_option("--mx", options->mx, "Look at this MX host only")->type_name("HOST");
  command->add_flag("--no-connect", options->no_connect,
                    "DNS and policy only; connect to no MX host");
  command->add_option("--timeout", options->timeout, "For everything together, in seconds")
      ->check(CLI::Range(1U, 3600U))
      ->capture_default_str();
}

}  // namespace relay::cli
