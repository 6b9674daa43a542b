#include "relay/net/socket_address.h"

#include <array>
#include <netinet/in.h>
#include <set>

#include <doctest/doctest.h>

namespace {

using relay::net::IpFamily;
using relay::net::SocketAddress;

TEST_CASE("addresses are printed in canonical form with port and as SMTP literals") {
  struct Row {
    const char* given;
    IpFamily family;
    const char* ip;
    const char* literal;
    const char* smtp;
  };
  const std::array<Row, 5> rows = {{
      {"192.0.2.1", IpFamily::v4, "192.0.2.1", "192.0.2.1:25", "[192.0.2.1]"},
      {"2001:DB8:0:0::1", IpFamily::v6, "2001:db8::1", "[2001:db8::1]:25", "[IPv6:2001:db8::1]"},
      {"::1", IpFamily::v6, "::1", "[::1]:25", "[IPv6:::1]"},
      {"2001:db8:0:1:1:1:1:1", IpFamily::v6, "2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:25",
       "[IPv6:2001:db8:0:1:1:1:1:1]"},
      {"::ffff:192.0.2.1", IpFamily::v4, "192.0.2.1", "192.0.2.1:25", "[192.0.2.1]"},
  }};
  for (const auto& row : rows) {
    CAPTURE(row.given);
    const auto address = SocketAddress::from_ip(row.given, 25);
    REQUIRE(address);
    CHECK(address->family() == row.family);
    CHECK(address->port() == 25);
    CHECK(address->ip() == row.ip);
    CHECK(address->literal() == row.literal);
    CHECK(address->smtp_literal() == row.smtp);
    CHECK(SocketAddress::from_literal(address->literal()) == address);
    CHECK(SocketAddress::from_sockaddr(address->get(), address->length()) == address);
  }
}

TEST_CASE("what is no IP address in text is refused") {
  using namespace std::string_view_literals;
  for (const auto text : {""sv, "192.0.2"sv, "192.0.2.256"sv, "192.0.2.01"sv, " 192.0.2.1"sv,
                          "[::1]"sv, "fe80::1%lo"sv, "1.2.3.4\0"sv, "::1::"sv, "mx.example"sv,
                          "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"sv}) {
    CAPTURE(text);
    CHECK_FALSE(SocketAddress::from_ip(text, 25));
  }
}

TEST_CASE("what is no address with port is refused") {
  for (const auto* text :
       {"", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:25x",
        "2001:db8::1:25", "[192.0.2.1]:25", "[::1]", "[]:25", ":25"}) {
    CAPTURE(text);
    CHECK_FALSE(SocketAddress::from_literal(text));
  }
}

TEST_CASE("only IP sockaddrs of full length are taken") {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  CHECK(SocketAddress::from_sockaddr(generic, sizeof address));
  CHECK_FALSE(SocketAddress::from_sockaddr(generic, sizeof address - 1));
  address.sin_family = AF_UNIX;
  CHECK_FALSE(SocketAddress::from_sockaddr(generic, sizeof address));
}

TEST_CASE("addresses are ordered by family, number and port") {
  const std::set<SocketAddress> set = {
      *SocketAddress::from_ip("::1", 1), *SocketAddress::from_ip("10.0.0.1", 2),
      *SocketAddress::from_ip("9.0.0.1", 1), *SocketAddress::from_ip("10.0.0.1", 1),
      *SocketAddress::from_ip("10.0.0.1", 1)};
  std::string order;
  for (const auto& address : set) {
    order += address.literal() + " ";
  }
  CHECK(order == "9.0.0.1:1 10.0.0.1:1 10.0.0.1:2 [::1]:1 ");
}

TEST_CASE("addresses that mail and policy fetches may go to by default") {
  for (const auto* ip : {"8.8.8.8",          "9.255.255.255",  "11.0.0.0",
                         "100.63.255.255",   "100.128.0.0",    "126.255.255.255",
                         "128.0.0.0",        "169.253.0.1",    "169.255.0.1",
                         "172.15.255.255",   "172.32.0.0",     "192.0.2.1",
                         "192.167.0.1",      "192.169.0.1",    "198.17.0.1",
                         "198.20.0.1",       "198.51.100.7",   "203.0.113.9",
                         "223.255.255.255",  "2001:db8::1",    "2001:4860:4860::8888",
                         "2a00::1",          "2600::1",        "2002:0808:0808::1",
                         "64:ff9b::808:808", "::ffff:8.8.8.8", "3fff::1"}) {
    CAPTURE(ip);
    CHECK(SocketAddress::from_ip(ip, 25)->is_public());
  }
}

TEST_CASE("addresses that mail and policy fetches may not go to by default") {
  for (const auto* ip : {"0.0.0.0",
                         "0.255.0.1",
                         "10.0.0.1",
                         "10.255.255.255",
                         "100.64.0.1",
                         "100.127.255.255",
                         "127.0.0.1",
                         "127.255.255.255",
                         "169.254.169.254",
                         "172.16.0.1",
                         "172.31.255.255",
                         "192.0.0.1",
                         "192.168.0.1",
                         "198.18.0.1",
                         "198.19.255.255",
                         "224.0.0.1",
                         "239.255.255.255",
                         "240.0.0.1",
                         "255.255.255.255",
                         "::",
                         "::1",
                         "::7f00:1",
                         "fc00::1",
                         "fd12::1",
                         "fe80::1",
                         "fec0::1",
                         "ff02::1",
                         "100::1",
                         "2001::1",
                         "2001:10::1",
                         "64:ff9b::7f00:1",
                         "64:ff9b::a00:1",
                         "64:ff9b:1::808:808",
                         "2002:7f00:1::1",
                         "2002:a00:1::1",
                         "2002:c0a8:101::1",
                         "::ffff:127.0.0.1",
                         "::ffff:10.0.0.1",
                         "5f00::1",
                         "4000::1"}) {
    CAPTURE(ip);
    CHECK_FALSE(SocketAddress::from_ip(ip, 25)->is_public());
  }
}

}  // namespace
