// The running daemon: wiring, reload and the order of shutdown. Everything is made here and handed
// down by reference; nothing is global.
#pragma once

#include <string>

namespace relay {

/// Runs until SIGTERM or SIGINT; SIGHUP reloads. The exit code: 0 after an orderly stop, 1 when it
/// could not start (the reason was written to standard error).
[[nodiscard]] int run_daemon(const std::string& config_path);

}  // namespace relay
