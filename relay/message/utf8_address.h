// Addresses of type "utf-8" (RFC 6533 §3): as UTF-8, or in ASCII with "\x{20AC}" for a character.
// Pure.
#pragma once

#include <string>
#include <string_view>

namespace relay::message {

/// utf-8-addr-unitext: "\x{20AC}" becomes the character; what is no such form stays.
[[nodiscard]] std::string unicode_address(std::string_view text);

/// utf-8-addr-xtext: all but graphic ASCII, and + = \, as "\x{20AC}"; what is no UTF-8 as "?".
[[nodiscard]] std::string ascii_address(std::string_view text);

}  // namespace relay::message
