// Characters as protocols see them: ASCII, whatever the locale. For the .cc files of rpt. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace rpt {

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
inline bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
inline bool is_alnum(char c) {
  return is_alpha(c) || is_digit(c);
}
inline bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}
/// Visible or a blank.
inline bool is_printable(char c) {
  return c >= ' ' && c <= '~';
}
inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
inline std::string lower(std::string_view text) {
  std::string folded{text};
  std::transform(folded.begin(), folded.end(), folded.begin(), [](char c) { return lower(c); });
  return folded;
}

/// The text of somebody else for a person's eyes: what is not printable ASCII becomes "?", what is
/// beyond max_size is cut, and "..." says so.
inline std::string printable(std::string_view text, std::size_t max_size) {
  constexpr std::string_view kCut = "...";
  std::string shown{text.substr(0, max_size)};
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return !is_printable(c); }, '?');
  if (text.size() > max_size) {
    shown.resize(max_size - std::min(max_size, kCut.size()));
    shown += kCut;
  }
  return shown;
}

/// "2026-08-20" with "-" for separator.
inline std::string date_text(std::chrono::sys_days day, std::string_view separator) {
  const std::chrono::year_month_day date{day};
  const auto digits = [](unsigned value, std::size_t width) {
    std::string text = std::to_string(value);
    return std::string(width - std::min(width, text.size()), '0') + text;
  };
  return digits(static_cast<unsigned>(static_cast<int>(date.year())), 4) + std::string{separator} +
         digits(static_cast<unsigned>(date.month()), 2) + std::string{separator} +
         digits(static_cast<unsigned>(date.day()), 2);
}

}  // namespace rpt
