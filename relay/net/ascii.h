// Letters of ASCII, whatever the locale: names in protocols know no other case. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace relay::net {

constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

inline bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, to_lower, to_lower);
}

}  // namespace relay::net
