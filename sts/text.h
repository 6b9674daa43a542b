// Characters and sizes that the grammars of RFC 8461 share. For the .cc files of sts. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace sts {

/// The longest policy read, in octets.
inline constexpr std::size_t kMaxBody = std::size_t{64} * 1024;
/// sts-ext-name and sts-policy-ext-name: one letter or digit and 31 more characters at most.
inline constexpr std::size_t kMaxExtensionName = 32;
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
inline bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
}

}  // namespace sts
