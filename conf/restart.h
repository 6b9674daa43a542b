// Which changed settings take effect only after a restart; all others apply on reload.
#pragma once

#include <string>
#include <vector>

#include "conf/config.h"

namespace conf {

/// Keys ("queue.path") whose values differ between the running and a new configuration and that
/// the daemon reads only when it starts.
[[nodiscard]] std::vector<std::string> settings_needing_restart(const Config& running,
                                                                const Config& now);

/// What a reload of now puts in force: now, but for those settings, which stay as they run.
[[nodiscard]] Config reloaded(const Config& running, Config now);

}  // namespace conf
