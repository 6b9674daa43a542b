#include <memory>
#include <string>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"

namespace relay::cli {
namespace {

struct WantedOverride {
  control::OverrideSet rule;
  bool remove = false;
};

std::string joined(const Json& texts) {
  std::vector<std::string> list;
  for (const Json& text : texts) {
    list.push_back(printable(text.get<std::string>()));
  }
  return fmt::format("{}", fmt::join(list, ", "));
}

/// "verify, only mx.example.com, report only".
std::string demand(const Json& rule) {
  std::string text = text_of(rule, "level");
  if (!rule["mx"].empty()) {
    text += ", only " + joined(rule["mx"]);
  }
  if (!rule["fingerprints"].empty()) {
    text += " " + joined(rule["fingerprints"]);
  }
  return text + (rule["report_only"].get<bool>() ? ", report only" : "");
}

std::string end_of(const Json& rule, net::WallTime time) {
  if (rule["until"].is_null()) {
    return "-";
  }
  return short_moment(rule["until"], time) + (rule["over"].get<bool>() ? " (over)" : "");
}

int list(const CommonOptions& options) {
  const auto data = Daemon(options).ask(control::OverrideList{});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  const Json& overrides = data->at("overrides");
  if (overrides.empty()) {
    print("No override is set.\n");
    return kDone;
  }
  const net::WallTime time = now();
  Table table({"DOMAIN", "RULE", "UNTIL", "SET", "BY", "REASON"});
  for (const Json& rule : overrides) {
    table.add({text_of(rule, "domain"), demand(rule), end_of(rule, time),
               short_moment(rule["set_at"], time), text_of(rule, "by"), text_of(rule, "reason")});
  }
  print(table.text());
  return kDone;
}

int set(const CommonOptions& options, const control::OverrideSet& request) {
  const auto data = Daemon(options).ask(request);
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  const std::string domain = text_of(*data, "domain");
  const Json& until = data->at("until");
  print(fmt::format("In force for {}: {}, until {}.\n", domain, demand(*data),
                    until.is_null() ? "it is removed" : moment(until, now())));
  if (!domain.starts_with('*')) {
    print(
        fmt::format("Waiting mail goes by it at its next attempt; to try now: stsrelay queue "
                    "retry --domain {}\n",
                    domain));
  }
  return kDone;
}

int remove(const CommonOptions& options, const std::string& domain) {
  const auto data = Daemon(options).ask(control::OverrideRemove{domain, {}});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
  } else {
    print(fmt::format("Removed: {}\n", text_of(*data, "removed")));
  }
  return kDone;
}

int misused(std::string_view sentence) {
  complain(sentence);
  return kUsage;
}

int run(const CommonOptions& options, const WantedOverride& wanted) {
  const control::OverrideSet& rule = wanted.rule;
  const bool says_something = !rule.level.empty() || !rule.mx.empty() ||
                              !rule.fingerprints.empty() || !rule.until.empty() ||
                              !rule.reason.empty() || rule.report_only;
  if (rule.domain.empty()) {
    return says_something || wanted.remove ? misused("for which DOMAIN?") : list(options);
  }
  if (wanted.remove) {
    return says_something ? misused("--remove goes with a DOMAIN alone")
                          : remove(options, rule.domain);
  }
  return says_something ? set(options, rule)
                        : misused("say what is to be: --level, --mx, --fingerprint or --remove");
}

}  // namespace

void add_policy_override(CLI::App& policy, Invocation& invocation) {
  const auto wanted = std::make_shared<WantedOverride>();
  CLI::App* const command = add_asking_command(
      policy, invocation, "override",
      "Set or remove the TLS rule of a policy domain, at once and until further notice; without a "
      "DOMAIN: list what is set",
      [&invocation, wanted] { return run(invocation.common, *wanted); });
  control::OverrideSet& rule = wanted->rule;
  command->add_option("domain", rule.domain, "Policy domain, or *.DOMAIN for all below it");
  command
      ->add_option("--level", rule.level,
                   "none, opportunistic, encrypt, verify, dane, dane-only or fingerprint; none and "
                   "opportunistic need --until and --reason")
      ->type_name("LEVEL");
  command->add_option("--mx", rule.mx, "Only this host (or *.HOST), verified; may be repeated")
      ->type_name("HOST")
      ->allow_extra_args(false);
  command
      ->add_option("--fingerprint", rule.fingerprints,
                   "SHA-256 of an accepted certificate or key, in hex; may be repeated")
      ->type_name("HEX")
      ->allow_extra_args(false);
  command->add_option("--until", rule.until, "2026-12-31 or 2026-12-31T12:00:00Z; then it is over")
      ->type_name("DATE");
  command->add_option("--reason", rule.reason, "For the log and for who wonders later")
      ->type_name("TEXT");
  command->add_flag("--report-only", rule.report_only, "Refuse nothing, count what would be");
  command->add_flag("--remove", wanted->remove, "Go by the configuration again");
}

}  // namespace relay::cli
