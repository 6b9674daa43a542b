#include "relay/smtp/base64.h"

#include <algorithm>
#include <cstdint>

namespace relay::smtp {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kGroup = 4;

}  // namespace

std::string base64_encode(std::string_view octets) {
  std::string text;
  text.reserve((octets.size() + 2) / 3 * kGroup);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : octets) {
    bits = (bits << 8U) | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) {
      text += kAlphabet[(bits >> (count - 6)) & 0x3fU];
    }
  }
  if (count > 0) {
    text += kAlphabet[(bits << (6 - count)) & 0x3fU];
  }
  text.append((kGroup - text.size() % kGroup) % kGroup, '=');
  return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % kGroup != 0) {
    return std::nullopt;
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  text.remove_suffix(padding);
  std::string octets;
  octets.reserve(text.size() * 3 / kGroup);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const auto value = kAlphabet.find(c);
    if (value == std::string_view::npos) {
      return std::nullopt;
    }
    bits = (bits << 6U) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      octets += static_cast<char>((bits >> static_cast<unsigned>(count)) & 0xffU);
    }
  }
  const std::uint32_t left = bits & ((1U << static_cast<unsigned>(count)) - 1U);
  return left == 0 ? std::optional(octets) : std::nullopt;
}

}  // namespace relay::smtp
