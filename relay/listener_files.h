// What the files that listeners name hold: certificates, keys, users. Read at the start, before
// root is given up, at each reload, and by `config check`.
#pragma once

#include <string>
#include <vector>

#include "conf/config.h"
#include "relay/net/expected.h"
#include "relay/reception/inbound.h"

namespace relay {

/// In the order of config.listen. config_file: where config was read. The errors are ready to
/// print: "FILE:LINE: key: reason".
[[nodiscard]] Expected<std::vector<reception::ListenerFiles>, std::vector<std::string>>
load_listener_files(const conf::Config& config, const std::string& config_file);

}  // namespace relay
