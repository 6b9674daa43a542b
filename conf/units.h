// Values with units as people write them: "5m", "25MiB", "10.0.0.0/8", "[::1]:25".
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conf {

/// "250ms", "30s", "5m", "4h", "2d"; a bare 0 too. nullopt for anything else.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
[[nodiscard]] std::string to_text(std::chrono::milliseconds duration);
/// So many in each such span of time.
struct Rate {
  std::uint32_t count = 0;
  std::chrono::milliseconds per{0};
  friend bool operator==(const Rate&, const Rate&) = default;
};
/// "5/s", "100/m", "1000/h", "20000/d"; nullopt for anything else.
[[nodiscard]] std::optional<Rate> parse_rate(std::string_view text);
[[nodiscard]] std::string to_text(const Rate& rate);
/// "100 messages per hour", for a noun in the singular.
[[nodiscard]] std::string in_words(const Rate& rate, std::string_view noun);

/// "1024", "64KiB", "25MiB", "1GiB".
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
[[nodiscard]] std::string size_to_text(std::uint64_t octets);

/// An IP address and port as text: "192.0.2.1:25", "[2001:db8::1]:25".
struct AddressLiteral {
  std::string ip;  ///< canonical, no brackets
  std::uint16_t port = 0;
  [[nodiscard]] std::string text() const;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 misreads defaulted comparisons
  friend auto operator<=>(const AddressLiteral&, const AddressLiteral&) = default;
};
/// default_port 0: the port must be given.
[[nodiscard]] std::optional<AddressLiteral> parse_address(std::string_view text,
                                                          std::uint16_t default_port = 0);

/// A CIDR network; IPv4 is held as IPv4.
class Network {
 public:
  /// "192.0.2.0/24", "2001:db8::/32", or one address. Host bits must be zero.
  static std::optional<Network> parse(std::string_view text);
  /// ip: canonical text as SocketAddress::ip() gives; false for anything unparsable.
  [[nodiscard]] bool contains(std::string_view ip) const;
  [[nodiscard]] bool is_v6() const { return v6_; }
  [[nodiscard]] int prefix() const { return prefix_; }
  /// The first address in network order, host bits zero; IPv4 in the first four octets.
  [[nodiscard]] const std::array<std::uint8_t, 16>& bits() const { return bits_; }
  [[nodiscard]] std::string text() const;
  friend bool operator==(const Network&, const Network&) = default;

 private:
  bool v6_ = false;
  std::array<std::uint8_t, 16> bits_{};
  int prefix_ = 0;
};

/// 127.0.0.0/8 and ::1/128: who may relay unless told otherwise.
[[nodiscard]] std::vector<Network> loopback_networks();

}  // namespace conf
