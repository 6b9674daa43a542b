// An IP address and port, as a value. Pure but for the sockaddr layout.
#pragma once

#include <compare>
#include <cstdint>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace relay::net {

enum class IpFamily { v4, v6 };

class SocketAddress {
 public:
  /// ip: dotted IPv4 or IPv6 text without brackets. IPv4-mapped IPv6 is unwrapped to IPv4.
  static std::optional<SocketAddress> from_ip(std::string_view ip, std::uint16_t port);
  /// "192.0.2.1:25" or "[2001:db8::1]:25".
  static std::optional<SocketAddress> from_literal(std::string_view literal);
  static std::optional<SocketAddress> from_sockaddr(const sockaddr* address, socklen_t length);

  [[nodiscard]] IpFamily family() const;
  [[nodiscard]] std::uint16_t port() const;
  /// Canonical text (RFC 5952) without port or brackets.
  [[nodiscard]] std::string ip() const;
  /// "192.0.2.1:25" or "[2001:db8::1]:25".
  [[nodiscard]] std::string literal() const;
  /// The SMTP address literal, "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3).
  [[nodiscard]] std::string smtp_literal() const;
  /// Whether mail and policy fetches may go there by default: false for unspecified, loopback,
  /// private, shared (100.64/10), link-local, unique-local, multicast, reserved addresses and for
  /// IPv6 forms that embed one (mapped, NAT64 64:ff9b::/96, 6to4).
  [[nodiscard]] bool is_public() const;
  [[nodiscard]] const sockaddr* get() const;
  [[nodiscard]] socklen_t length() const;

  friend bool operator==(const SocketAddress& a, const SocketAddress& b) {
    return compare(a, b) == std::strong_ordering::equal;
  }
  friend std::strong_ordering operator<=>(const SocketAddress& a, const SocketAddress& b) {
    return compare(a, b);
  }

 private:
  SocketAddress() = default;
  static std::strong_ordering compare(const SocketAddress& a, const SocketAddress& b);
  [[nodiscard]] const sockaddr_in& v4() const;
  [[nodiscard]] const sockaddr_in6& v6() const;

  sockaddr_storage storage_{};
};

}  // namespace relay::net
