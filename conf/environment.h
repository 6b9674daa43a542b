// ${NAME} in values of the configuration: what the environment says, as containers are told it.
// Pure: whoever parses says what the environment is.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "conf/config.h"

namespace conf {

/// The value of a variable; nullopt: it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// As parse(yaml), with ${NAME} in values (not in keys) replaced. A variable that is not set, or
/// whose value is no line of text, is an error at the line that names it.
[[nodiscard]] tl::expected<Config, std::vector<ConfigError>> parse(std::string_view yaml,
                                                                   const Environment& environment);

/// The text of a value with its variables replaced; the error says what is wrong with one of them.
[[nodiscard]] tl::expected<std::string, std::string> filled_in(std::string_view text,
                                                               const Environment& environment);

}  // namespace conf
