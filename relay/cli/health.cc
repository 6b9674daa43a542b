#include <chrono>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"

namespace relay::cli {
namespace {

/// Shorter than what containers give a check (30 s): the reason is still told.
constexpr std::chrono::seconds kHealthPatience{10};

int health(const CommonOptions& options) {
  const auto status = Daemon(options, kHealthPatience).ask(control::Status{});
  if (!status) {
    return kFailed;  // 75, too: containers know 0 and 1
  }
  const std::string obstacle = text_of(*status, "obstacle");
  if (options.json) {
    print_json(Json{{"ready", obstacle.empty()}, {"obstacle", obstacle}});
  } else {
    print(obstacle.empty() ? "ready\n" : fmt::format("not ready: {}\n", obstacle));
  }
  return obstacle.empty() ? kDone : kFailed;
}

}  // namespace

void add_health(CLI::App& app, Invocation& invocation) {
  add_asking_command(app, invocation, "health",
                     "Whether the daemon takes mail now, for checks of containers and monitoring",
                     [&invocation] { return health(invocation.common); })
      ->footer("Exit codes: 0 it does, 1 it does not or does not answer, 2 wrong usage.");
}

}  // namespace relay::cli
