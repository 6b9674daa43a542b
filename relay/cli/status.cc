#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"

namespace relay::cli {
namespace {

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
  if (spool["failed"].get<bool>()) {
    print("SPOOL FAILED: nothing is accepted until a restart; the log says why.\n");
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
  table.add({"deliveries", number_of(status, "deliveries_in_flight") + " under way"});
  table.add(
      {"queue", fmt::format("{}, {}, {}", counted(queue["messages"], "message"),
                            counted(queue["recipients"], "recipient"), octets(queue["octets"]))});
  table.add({"oldest message", moment(queue["oldest"], time)});
  table.add(
      {"since the start",
       fmt::format("{} stored, {} settled, {} in {}", counted(spool["messages_stored"], "message"),
                   counted(spool["settlements"], "attempt"), counted(spool["requests"], "request"),
                   counted(spool["commits"], "commit"))});
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
  print(table.text());
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
