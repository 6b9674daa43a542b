#include "relay/cli/commands.h"
#include "relay/daemon.h"

namespace relay::cli {

void add_run(CLI::App& app, Invocation& invocation) {
  add_command(app, invocation, "run",
              "Run the relay in the foreground until SIGTERM; SIGHUP reloads the configuration",
              [&invocation] { return run_daemon(invocation.common.config_file); });
}

}  // namespace relay::cli
