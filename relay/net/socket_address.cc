#include "relay/net/socket_address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstring>
#include <netinet/in.h>
#include <span>

namespace relay::net {
namespace {

using Bytes4 = std::array<std::uint8_t, 4>;
using Bytes16 = std::array<std::uint8_t, 16>;

constexpr Bytes16 kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr Bytes16 kNat64Prefix = {0x00, 0x64, 0xff, 0x9b};
constexpr std::size_t kEmbeddingPrefix = 12;  // bytes before the IPv4 address in both

bool starts_with(const Bytes16& bytes, std::span<const std::uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), bytes.begin());
}

Bytes4 embedded_v4(const Bytes16& bytes, std::size_t offset) {
  return {bytes.at(offset), bytes.at(offset + 1), bytes.at(offset + 2), bytes.at(offset + 3)};
}

struct V4Block {
  std::uint32_t network;
  unsigned prefix;
};

// IANA IPv4 special-purpose registry (RFC 6890) without the documentation blocks, which no real
// host uses and every example does.
constexpr std::array<V4Block, 11> kSpecialV4 = {{
    {0x00000000, 8},   // this network
    {0x0a000000, 8},   // private
    {0x64400000, 10},  // shared
    {0x7f000000, 8},   // loopback
    {0xa9fe0000, 16},  // link-local
    {0xac100000, 12},  // private
    {0xc0000000, 24},  // protocol assignments
    {0xc0a80000, 16},  // private
    {0xc6120000, 15},  // benchmarks
    {0xe0000000, 4},   // multicast
    {0xf0000000, 4},   // reserved, broadcast
}};

bool is_public_v4(const Bytes4& bytes) {
  const std::uint32_t value = static_cast<std::uint32_t>(bytes[0]) << 24U |
                              static_cast<std::uint32_t>(bytes[1]) << 16U |
                              static_cast<std::uint32_t>(bytes[2]) << 8U | bytes[3];
  return std::none_of(kSpecialV4.begin(), kSpecialV4.end(), [value](const V4Block& block) {
    return (value ^ block.network) >> (32U - block.prefix) == 0;
  });
}

bool is_public_v6(const Bytes16& bytes) {
  if (starts_with(bytes, std::span(kNat64Prefix).first(kEmbeddingPrefix)) ||
      starts_with(bytes, std::span(kMappedPrefix).first(kEmbeddingPrefix))) {
    return is_public_v4(embedded_v4(bytes, kEmbeddingPrefix));
  }
  if (bytes[0] == 0x20 && bytes[1] == 0x02) {  // 6to4, RFC 3056
    return is_public_v4(embedded_v4(bytes, 2));
  }
  // 2001::/23: Teredo, ORCHID, benchmarks and other protocol assignments (RFC 2928).
  if (bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] <= 0x01) {
    return false;
  }
  return (bytes[0] & 0xe0U) == 0x20;  // 2000::/3 is all that is global unicast (RFC 4291 §2.4)
}

template <class Address>
auto bytes_of(const Address& address) {
  std::array<std::uint8_t, sizeof(Address)> bytes{};
  std::memcpy(bytes.data(), &address, sizeof(Address));
  return bytes;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, fault] = std::from_chars(text.data(), end, port);
  if (fault != std::errc() || rest != end || text.empty()) {
    return std::nullopt;
  }
  return port;
}

}  // namespace

// sockaddr_storage may be read as the family's own type: POSIX <sys/socket.h>.
const sockaddr_in& SocketAddress::v4() const {
  return *reinterpret_cast<const sockaddr_in*>(&storage_);
}

const sockaddr_in6& SocketAddress::v6() const {
  return *reinterpret_cast<const sockaddr_in6*>(&storage_);
}

std::optional<SocketAddress> SocketAddress::from_ip(std::string_view ip, std::uint16_t port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (ip.empty() || ip.size() >= text.size() || ip.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  std::copy(ip.begin(), ip.end(), text.begin());
  sockaddr_in in{};
  if (inet_pton(AF_INET, text.data(), &in.sin_addr) == 1) {
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    return from_sockaddr(reinterpret_cast<const sockaddr*>(&in), sizeof in);
  }
  sockaddr_in6 in6{};
  if (inet_pton(AF_INET6, text.data(), &in6.sin6_addr) == 1) {
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    return from_sockaddr(reinterpret_cast<const sockaddr*>(&in6), sizeof in6);
  }
  return std::nullopt;
}

std::optional<SocketAddress> SocketAddress::from_literal(std::string_view literal) {
  const auto colon = literal.rfind(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  const auto port = parse_port(literal.substr(colon + 1));
  std::string_view ip = literal.substr(0, colon);
  const bool bracketed = ip.size() >= 2 && ip.front() == '[' && ip.back() == ']';
  if (bracketed) {
    ip = ip.substr(1, ip.size() - 2);
  }
  const bool has_colon = ip.find(':') != std::string_view::npos;
  if (!port || bracketed != has_colon) {
    return std::nullopt;
  }
  return from_ip(ip, *port);
}

std::optional<SocketAddress> SocketAddress::from_sockaddr(const sockaddr* address,
                                                          socklen_t length) {
  SocketAddress result;
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    std::memcpy(&result.storage_, address, sizeof(sockaddr_in));
    return result;
  }
  if (address->sa_family != AF_INET6 || length < sizeof(sockaddr_in6)) {
    return std::nullopt;
  }
  std::memcpy(&result.storage_, address, sizeof(sockaddr_in6));
  const auto bytes = bytes_of(result.v6().sin6_addr);
  if (starts_with(bytes, std::span(kMappedPrefix).first(kEmbeddingPrefix))) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = result.v6().sin6_port;
    std::memcpy(&in.sin_addr, bytes.data() + kEmbeddingPrefix, sizeof in.sin_addr);
    result.storage_ = {};
    std::memcpy(&result.storage_, &in, sizeof in);
  }
  return result;
}

IpFamily SocketAddress::family() const {
  return storage_.ss_family == AF_INET ? IpFamily::v4 : IpFamily::v6;
}

std::uint16_t SocketAddress::port() const {
  return ntohs(family() == IpFamily::v4 ? v4().sin_port : v6().sin6_port);
}

std::string SocketAddress::ip() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (family() == IpFamily::v4) {
    inet_ntop(AF_INET, &v4().sin_addr, text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, &v6().sin6_addr, text.data(), text.size());
  }
  return text.data();
}

std::string SocketAddress::literal() const {
  const std::string port_text = ":" + std::to_string(port());
  return family() == IpFamily::v4 ? ip() + port_text : "[" + ip() + "]" + port_text;
}

std::string SocketAddress::smtp_literal() const {
  return (family() == IpFamily::v4 ? "[" : "[IPv6:") + ip() + "]";
}

bool SocketAddress::is_public() const {
  return family() == IpFamily::v4 ? is_public_v4(bytes_of(v4().sin_addr))
                                  : is_public_v6(bytes_of(v6().sin6_addr));
}

const sockaddr* SocketAddress::get() const {
  return reinterpret_cast<const sockaddr*>(&storage_);
}

socklen_t SocketAddress::length() const {
  return family() == IpFamily::v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

std::strong_ordering SocketAddress::compare(const SocketAddress& a, const SocketAddress& b) {
  if (const auto order = a.family() <=> b.family(); order != std::strong_ordering::equal) {
    return order;
  }
  const auto order = a.family() == IpFamily::v4
                         ? bytes_of(a.v4().sin_addr) <=> bytes_of(b.v4().sin_addr)
                         : bytes_of(a.v6().sin6_addr) <=> bytes_of(b.v6().sin6_addr);
  return order != std::strong_ordering::equal ? order : a.port() <=> b.port();
}

}  // namespace relay::net
