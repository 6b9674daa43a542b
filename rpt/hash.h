// A hash whose values stay the same on every machine and in every release: report-ids and sending
// times are made of it. No protection against people who look for collisions. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rpt {

/// Two FNV-1a sums, each octet of each text in both; texts are told apart by their lengths.
class StableHash {
 public:
  StableHash& add(std::string_view text);
  [[nodiscard]] std::uint64_t value() const;  ///< evenly spread
  [[nodiscard]] std::string hex() const;      ///< 32 digits

 private:
  void add_octet(std::uint8_t octet);
  std::uint64_t first_ = 0xCBF29CE484222325;  // FNV's offset basis
  std::uint64_t second_ = 0x6C62272E07BB0142;
};

}  // namespace rpt
