// What no single setting can show: open relays, contradictions, routes that are never reached.
#pragma once

#include "conf/findings.h"

namespace conf {

/// The control socket where none is named.
[[nodiscard]] std::string default_socket(const Queue& queue);

/// The part of check() about staging.
void check_staging(const Config& config, Findings& findings);

/// Adds an error for each fault of the routes.
void check_routes(const Config& config, Findings& findings);

/// Adds an error for each fault of a configuration that was read without one.
void check(const Config& config, Findings& findings);

}  // namespace conf
