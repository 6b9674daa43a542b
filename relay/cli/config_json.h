// A configuration as JSON: the same keys and texts as in YAML.
#pragma once

#include <nlohmann/json.hpp>

#include "conf/config.h"

namespace relay::cli {

[[nodiscard]] nlohmann::ordered_json to_json(const conf::Config& config);

}  // namespace relay::cli
