// Character classes and case of US-ASCII, independent of the locale. Pure.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace relay::smtp {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_alnum(char c) {
  return is_digit(c) || is_alpha(c);
}
constexpr bool is_ascii(char c) {
  return (static_cast<unsigned char>(c) & 0x80U) == 0;
}
constexpr bool is_control(char c) {
  return (c >= '\0' && c < ' ') || c == '\x7f';
}
constexpr bool is_printable(char c) {
  return c >= ' ' && c <= '~';
}
constexpr bool is_graphic(char c) {
  return c > ' ' && c <= '~';
}
constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
constexpr char to_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}

inline std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), to_lower);
  return result;
}

inline std::string upper(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), to_upper);
  return result;
}

inline bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return to_lower(x) == to_lower(y); });
}

/// Cuts the first word, bounded by blanks, off text; empty at its end.
inline std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  const auto word = text.substr(0, std::min(text.find_first_of(" \t"), text.size()));
  text.remove_prefix(word.size());
  return word;
}

/// text with everything but printable ASCII replaced by '?', at most most octets.
inline std::string printable(std::string_view text, std::size_t most) {
  std::string result(text.substr(0, most));
  std::replace_if(
      result.begin(), result.end(), [](char c) { return !is_printable(c); }, '?');
  return result;
}

}  // namespace relay::smtp
