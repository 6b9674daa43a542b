// UTF-8 (RFC 3629), character by character. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace conf {

/// Octets of the UTF-8 character that text begins with; 0 if it begins with none.
[[nodiscard]] std::size_t utf8_length(std::string_view text);

}  // namespace conf
