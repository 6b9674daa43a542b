#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"

namespace relay::cli {
namespace {

/// What report-only rules let pass: "3, of these 2 a.example, 1 b.example".
std::string would_refuse(const Json& counts) {
  std::vector<std::string> domains;
  for (const Json& entry : counts["domains"]) {
    const std::string domain = text_of(entry, "domain");
    domains.push_back(
        fmt::format("{} {}", number_of(entry, "count"), domain.empty() ? "others" : domain));
  }
  const std::string total = number_of(counts, "total");
  return domains.empty() ? total : fmt::format("{}, of these {}", total, fmt::join(domains, ", "));
}

/// "3 recipients sinked, 0 captured …".
std::string staged(const Json& counts) {
  std::vector<std::string> texts;
  texts.reserve(counts.size());
  for (const auto& [name, count] : counts.items()) {
    texts.push_back(fmt::format("{} {}", count.get<std::uint64_t>(), name));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

void print_rules(std::string_view title, const Json& rules, net::WallTime time) {
  if (rules.empty()) {
    return;
  }
  Table table({"DOMAIN", "LEVEL", "UNTIL", "REASON", "SET BY"});
  for (const Json& rule : rules) {
    const bool report_only = rule["report_only"].get<bool>();
    table.add({text_of(rule, "domain"),
               text_of(rule, "level") + (report_only ? ", report-only" : ""),
               moment(rule["until"], time), text_of(rule, "reason"), text_of(rule, "rule")});
  }
  print(fmt::format("\n{}:\n{}", title, table.text()));
}

/// How often which fault kept a policy from being fetched: "3 fetch-error http-404, …".
std::string fetch_failures(const Json& counts) {
  std::vector<std::string> texts;
  for (const Json& entry : counts) {
    texts.push_back(fmt::format("{} {} {}", number_of(entry, "count"), text_of(entry, "fault"),
                                text_of(entry, "reason")));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

void print_failing(const Json& policies, net::WallTime time) {
  if (policies.empty()) {
    return;
  }
  Table table({"DOMAIN", "EXPIRES", "FAILING SINCE", "FAULT", "REASON"});
  for (const Json& each : policies) {
    table.add({text_of(each, "domain"), moment(each["expires_at"], time),
               moment(each["since"], time), text_of(each, "fault"), text_of(each, "reason")});
  }
  print(fmt::format("\nPolicies that cannot be refreshed, the first to expire:\n{}", table.text()));
}

void print_pauses(const Json& pauses, net::WallTime time) {
  if (pauses.empty()) {
    return;
  }
  Table table({"PAUSED", "SINCE", "REASON", "BY"});
  for (const Json& pause : pauses) {
    table.add({text_of(pause, "what"), moment(pause["since"], time), text_of(pause, "reason"),
               text_of(pause, "by")});
  }
  print(fmt::format("\nResting by `stsrelay queue pause`:\n{}", table.text()));
}

void print_held_clients(const Json& clients, net::WallTime time) {
  if (clients.empty()) {
    return;
  }
  Table table({"CLIENT HELD", "SINCE", "WHY", "BY"});
  for (const Json& client : clients) {
    const std::string by = text_of(client, "by");
    table.add({text_of(client, "name"), moment(client["since"], time), text_of(client, "reason"),
               by.empty() ? "its limits" : by});
  }
  print(fmt::format("\nTheir mail is held until `stsrelay clients release`:\n{}", table.text()));
}

void print_status(const Json& status, net::WallTime time) {
  const Json& queue = status["queue"];
  const Json& spool = status["spool"];
  std::vector<std::string> listeners;
  for (const Json& listener : status["listeners"]) {
    listeners.push_back(listener.get<std::string>());
  }
  if (status["test_world"].get<bool>()) {
    print("TEST WORLD: resolvers, ports or trust anchors are overridden; no real mail here.\n");
  }
  const Json& staging = status["staging"];
  if (!staging.is_null()) {
    print(
        fmt::format("STAGING ({}): {}.\n", text_of(staging, "mode"), text_of(staging, "summary")));
  }
  if (spool["failed"].get<bool>()) {
    print("SPOOL FAILED: nothing is accepted until a restart; the log says why.\n");
  }
  const Json& tls = status["tls_policy"];
  if (tls["report_only"].get<bool>()) {
    print("REPORT-ONLY: no TLS policy is enforced, see tls_policy.report_only.\n");
  }
  Table table({"stsrelay", text_of(status, "version")});
  table.add({"host name", text_of(status, "hostname")});
  table.add({"configuration", text_of(status, "config_file")});
  table.add({"started", moment(status["started_at"], time)});
  table.add({"listening on", fmt::format("{}", fmt::join(listeners, ", "))});
  table.add({"workers", number_of(status, "workers")});
  table.add({"connections",
             fmt::format("{} inbound, {} outbound", number_of(status, "inbound_connections"),
                         number_of(status, "outbound_connections"))});
  table.add({"deliveries", fmt::format("{} under way, {} due, {} wait for their next time, {} rest",
                                       number_of(status, "deliveries_in_flight"),
                                       number_of(status, "deliveries_ready"),
                                       number_of(status, "deliveries_waiting"),
                                       number_of(status, "deliveries_resting"))});
  table.add(
      {"queue", fmt::format("{} ({} held), {}, {}", counted(queue["messages"], "message"),
                            number_of(queue, "held"), counted(queue["recipients"], "recipient"),
                            octets(queue["octets"]))});
  table.add({"oldest message", moment(queue["oldest"], time)});
  const Json& recipients = status["recipients"];
  table.add({"since the start",
             fmt::format("{} delivered, {} deferred, {} failed",
                         counted(recipients["delivered"], "recipient"),
                         number_of(recipients, "deferred"), number_of(recipients, "failed"))});
  if (!staging.is_null()) {
    table.add({"", staged(staging["recipients"])});
  }
  table.add(
      {"",
       fmt::format("{} stored, {} settled, {} in {}", counted(spool["messages_stored"], "message"),
                   counted(spool["settlements"], "attempt"), counted(spool["requests"], "request"),
                   counted(spool["commits"], "commit"))});
  const Json& dnssec = status["dnssec"];
  table.add({"DNSSEC", fmt::format("{}, {}", text_of(dnssec, "mode"), text_of(dnssec, "state"))});
  table.add({"TLS by default", text_of(tls, "default")});
  table.add({"TLS rules", fmt::format("{}, {} preloaded", number_of(tls, "rules"),
                                      number_of(tls, "preloaded"))});
  table.add({"would refuse", would_refuse(tls["would_refuse"])});
  for (const Json& held : status["held_upstreams"]) {
    table.add({"UPSTREAM HELD",
               fmt::format("{} refuses our credentials since {}: {}", text_of(held, "upstream"),
                           moment(held["since"], time), text_of(held, "reply"))});
  }
  const Json& policies = status["policies"];
  table.add({"policies", number_of(policies, "cached") + " cached"});
  if (policies["failing"] != 0) {
    table.add({"refresh failing", fmt::format("{}, the first of them expires {}",
                                              counted(policies["failing"], "policy domain"),
                                              moment(policies["earliest_expiry"], time))});
  }
  if (policies["unsaved"] != 0) {
    table.add({"not stored", counted(policies["unsaved"], "policy domain") +
                                 " in memory only; the log says why"});
  }
  if (!policies["fetch_failures"].empty()) {
    table.add({"fetches failed", fetch_failures(policies["fetch_failures"])});
  }
  print(table.text());
  print_pauses(status["pauses"], time);
  print_held_clients(status["held_clients"], time);
  print_failing(policies["failing_domains"], time);
  print_rules("Exempt from TLS policies", tls["exemptions"], time);
  print_rules("TLS rules that ended in the last 7 days", tls["ended"], time);
}

int status(const CommonOptions& options) {
  const auto data = Daemon(options).ask(control::Status{});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
  } else {
    print_status(*data, now());
  }
  return kDone;
}

}  // namespace

void add_status(CLI::App& app, Invocation& invocation) {
  add_asking_command(app, invocation, "status", "How the daemon is: queue, connections, spool",
                     [&invocation] { return status(invocation.common); });
}

}  // namespace relay::cli
