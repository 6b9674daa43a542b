// Base64 as SASL exchanges write it (RFC 4648 §4, strict). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace relay::smtp {

[[nodiscard]] std::string base64_encode(std::string_view octets);
/// nullopt: a character outside the alphabet, or padding that is missing, misplaced or not zero.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace relay::smtp
