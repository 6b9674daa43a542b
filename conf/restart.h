// Which changed settings take effect only after a restart; all others apply on reload.
#pragma once

#include <string>
#include <vector>

#include "conf/config.h"

namespace conf {

/// Keys ("queue.path") whose values differ between the running and a new configuration and that
/// the daemon reads only when it starts.
[[nodiscard]] std::vector<std::string> settings_needing_restart(const Config& old,
                                                                const Config& now);

}  // namespace conf
