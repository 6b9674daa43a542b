#include "rpt/hash.h"

#include <cstddef>

namespace rpt {
namespace {

constexpr std::uint64_t kPrime = 0x100000001B3;

// The finalizer of splitmix64: FNV alone leaves its high bits too regular.
std::uint64_t mixed(std::uint64_t sum) {
  sum = (sum ^ (sum >> 30U)) * 0xBF58476D1CE4E5B9;
  sum = (sum ^ (sum >> 27U)) * 0x94D049BB133111EB;
  return sum ^ (sum >> 31U);
}

void append_hex(std::string& text, std::uint64_t value) {
  constexpr unsigned kBits = 64;
  for (unsigned shift = kBits; shift > 0; shift -= 4) {
    text.push_back("0123456789abcdef"[(value >> (shift - 4)) & 0xFU]);
  }
}

}  // namespace

void StableHash::add_octet(std::uint8_t octet) {
  first_ = (first_ ^ octet) * kPrime;
  // Another order of the same steps, so that one sum's collisions are not the other's.
  second_ = (second_ * kPrime) ^ octet;
}

StableHash& StableHash::add(std::string_view text) {
  for (const char c : text) {
    add_octet(static_cast<std::uint8_t>(c));
  }
  for (std::size_t rest = text.size(), i = 0; i < 8; ++i, rest >>= 8U) {
    add_octet(static_cast<std::uint8_t>(rest & 0xFFU));
  }
  return *this;
}

std::uint64_t StableHash::value() const {
  return mixed(first_ ^ mixed(second_));
}

std::string StableHash::hex() const {
  std::string text;
  append_hex(text, mixed(first_ + second_));
  append_hex(text, value());
  return text;
}

}  // namespace rpt
