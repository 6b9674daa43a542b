#include "relay/message/utf8_address.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

constexpr std::string_view kBegin = "\\x{";
constexpr std::size_t kMostDigits = 6;

unsigned octet(char c) {
  return static_cast<unsigned char>(c);
}

bool is_scalar_value(std::uint32_t value) {
  return value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
}

void append_utf8(std::uint32_t value, std::string& out) {
  if (value < 0x80) {
    out += static_cast<char>(value);
    return;
  }
  const int more = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
  constexpr std::array<unsigned, 4> kLead{0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(kLead.at(static_cast<std::size_t>(more)) | (value >> (6 * more)));
  for (int shift = 6 * (more - 1); shift >= 0; shift -= 6) {
    out += static_cast<char>(0x80U | ((value >> shift) & 0x3fU));
  }
}

/// The character that text begins with as "\x{…}", and the length of that form.
struct Embedded {
  std::uint32_t value = 0;
  std::size_t length = 0;
};

std::optional<Embedded> embedded(std::string_view text) {
  if (!text.starts_with(kBegin)) {
    return std::nullopt;
  }
  const auto digits = text.substr(kBegin.size(), text.find('}') - kBegin.size());
  Embedded found{0, kBegin.size() + digits.size() + 1};
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), found.value, 16);
  const bool whole = error == std::errc{} && end == digits.data() + digits.size();
  if (!whole || digits.size() > kMostDigits || found.length > text.size() ||
      !is_scalar_value(found.value)) {
    return std::nullopt;
  }
  return found;
}

/// The character that text, not empty, begins with; length 0: it is no UTF-8.
Embedded first_character(std::string_view text) {
  const unsigned lead = octet(text.front());
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xc2 ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                                           : 4;
  if (length == 0 || lead > 0xf4 || text.size() < length) {
    return {};
  }
  std::uint32_t value = length == 1 ? lead : lead & (0xffU >> (length + 1));
  for (const char c : text.substr(1, length - 1)) {
    if ((octet(c) & 0xc0U) != 0x80) {
      return {};
    }
    value = (value << 6) | (octet(c) & 0x3fU);
  }
  return {value, length};
}

bool is_plain(char c) {
  return smtp::is_graphic(c) && c != '+' && c != '=' && c != '\\';
}

}  // namespace

std::string unicode_address(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    if (const auto character = embedded(text)) {
      append_utf8(character->value, result);
      text.remove_prefix(character->length);
    } else {
      result += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

std::string ascii_address(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const Embedded character = first_character(text);
    if (character.length == 0) {
      result += '?';
    } else if (character.length == 1 && is_plain(text.front())) {
      result += text.front();
    } else {
      result += fmt::format("\\x{{{:X}}}", character.value);
    }
    text.remove_prefix(std::max<std::size_t>(character.length, 1));
  }
  return result;
}

}  // namespace relay::message
