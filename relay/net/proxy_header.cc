#include "relay/net/proxy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <vector>

namespace relay::net {
namespace {

using Parsed = Expected<std::optional<ProxyHeader>, std::string>;

constexpr std::string_view kTextStart = "PROXY ";
constexpr std::size_t kLongestText = 107;  // with CRLF
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t kFixed = 16;  // of a binary header: signature, command, family, length
constexpr std::size_t kLongestRest = 4096;
constexpr std::size_t kTlvHead = 3;

Unexpected<std::string> wrong(const char* reason) {
  return Unexpected<std::string>(reason);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t blank = 0; blank != std::string_view::npos;) {
    blank = line.find(' ');
    words.push_back(line.substr(0, blank));
    line.remove_prefix(blank == std::string_view::npos ? line.size() : blank + 1);
  }
  return words;
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  const bool padded = text.size() > 1 && text.front() == '0';
  return error == std::errc() && rest == end && !padded ? std::optional(port) : std::nullopt;
}

std::optional<SocketAddress> address_of(std::string_view ip, std::string_view port,
                                        IpFamily family) {
  const auto number = port_of(port);
  const bool v6 = ip.find(':') != std::string_view::npos;
  return number && v6 == (family == IpFamily::v6) ? SocketAddress::from_ip(ip, *number)
                                                  : std::nullopt;
}

Parsed parse_text(std::string_view octets) {
  const auto end = octets.substr(0, kLongestText).find('\n');
  if (end == std::string_view::npos) {
    return octets.size() < kLongestText ? Parsed(std::nullopt) : wrong("header without an end");
  }
  ProxyHeader header;
  header.length = end + 1;
  auto line = octets.substr(0, end);
  if (!line.ends_with('\r')) {
    return wrong("header line does not end in CRLF");
  }
  line.remove_suffix(1);
  const auto words = words_of(line);
  if (words[1] == "UNKNOWN") {
    return header;  // what may follow it counts for nothing
  }
  const bool v4 = words[1] == "TCP4";
  if ((!v4 && words[1] != "TCP6") || words.size() != 6) {
    return wrong("header is neither TCP4, TCP6 nor UNKNOWN, or not complete");
  }
  const auto family = v4 ? IpFamily::v4 : IpFamily::v6;
  header.client = address_of(words[2], words[4], family);
  header.server = address_of(words[3], words[5], family);
  if (!header.client || !header.server) {
    return wrong("header has an address or port that is none");
  }
  return header;
}

unsigned octet_at(std::string_view octets, std::size_t at) {
  return static_cast<unsigned char>(octets[at]);
}

std::uint16_t number_at(std::string_view octets, std::size_t at) {
  return static_cast<std::uint16_t>(octet_at(octets, at) << 8U | octet_at(octets, at + 1));
}

template <class Sockaddr>
std::optional<SocketAddress> address_of(const Sockaddr& address) {
  return SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

std::optional<SocketAddress> v4_at(std::string_view octets, std::size_t at, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  std::memcpy(&address.sin_addr, octets.data() + at, sizeof address.sin_addr);
  return address_of(address);
}

std::optional<SocketAddress> v6_at(std::string_view octets, std::size_t at, std::uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  std::memcpy(&address.sin6_addr, octets.data() + at, sizeof address.sin6_addr);
  return address_of(address);
}

/// Whether the extensions, which nobody here asks for, are at least whole.
bool extensions_fit(std::string_view rest) {
  while (rest.size() >= kTlvHead) {
    const std::size_t length = kTlvHead + number_at(rest, 1);
    if (length > rest.size()) {
      return false;
    }
    rest.remove_prefix(length);
  }
  return rest.empty();
}

enum class Family : unsigned { unspecified = 0x00, tcp4 = 0x11, tcp6 = 0x21 };

/// rest: what follows the fixed part.
Parsed parse_addresses(unsigned family, std::string_view rest, ProxyHeader header) {
  std::size_t addresses = 0;
  if (family == static_cast<unsigned>(Family::tcp4) && rest.size() >= 12) {
    addresses = 12;
    header.client = v4_at(rest, 0, number_at(rest, 8));
    header.server = v4_at(rest, 4, number_at(rest, 10));
  } else if (family == static_cast<unsigned>(Family::tcp6) && rest.size() >= 36) {
    addresses = 36;
    header.client = v6_at(rest, 0, number_at(rest, 32));
    header.server = v6_at(rest, 16, number_at(rest, 34));
  } else if (family != static_cast<unsigned>(Family::unspecified)) {
    return wrong("header is not of TCP over IPv4 or IPv6, or not complete");
  }
  if (!extensions_fit(rest.substr(addresses))) {
    return wrong("header's extensions do not fit its length");
  }
  return header;
}

Parsed parse_binary(std::string_view octets) {
  if (octets.size() < kFixed) {
    return std::nullopt;
  }
  const unsigned command = octet_at(octets, 12);
  if (command != 0x20 && command != 0x21) {
    return wrong("header of an unknown version or command");
  }
  const std::size_t rest = number_at(octets, 14);
  if (rest > kLongestRest) {
    return wrong("header longer than 4112 octets");
  }
  if (octets.size() < kFixed + rest) {
    return std::nullopt;
  }
  ProxyHeader header;
  header.length = kFixed + rest;
  if (command == 0x20) {
    return header;  // LOCAL: the rest counts for nothing
  }
  return parse_addresses(octet_at(octets, 13), octets.substr(kFixed, rest), header);
}

bool begin_alike(std::string_view octets, std::string_view start) {
  const auto common = std::min(octets.size(), start.size());
  return octets.substr(0, common) == start.substr(0, common);
}

}  // namespace

Parsed parse_proxy_header(std::string_view octets) {
  if (octets.empty()) {
    return std::nullopt;
  }
  if (begin_alike(octets, kSignature)) {
    return parse_binary(octets);
  }
  if (begin_alike(octets, kTextStart)) {
    return parse_text(octets);
  }
  return wrong("no PROXY header came first");
}

}  // namespace relay::net
