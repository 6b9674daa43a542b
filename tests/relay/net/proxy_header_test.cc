#include "relay/net/proxy_header.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using relay::net::parse_proxy_header;
using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

/// A binary header; the length is told rightly unless given.
std::string version_2(char command, char family, const std::string& rest, int length = -1) {
  const auto told = static_cast<unsigned>(length < 0 ? static_cast<int>(rest.size()) : length);
  return kSignature + command + family + static_cast<char>(told >> 8U) +
         static_cast<char>(told & 0xffU) + rest;
}

const std::string kV4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x00\x19"s;
const std::string kV6 =
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
    "\x30\x39\x00\x19"s;

/// "client server" as literals, "itself", "more", or "fault".
std::string verdict_on(const std::string& octets) {
  const auto header = parse_proxy_header(octets);
  if (!header) {
    return "fault";
  }
  if (!*header) {
    return "more";
  }
  if (!(*header)->client) {
    return "itself";
  }
  return (*header)->client->literal() + " " + (*header)->server->literal();
}

TEST_CASE("both versions name the client, and what follows them is the client's") {
  struct Row {
    std::string octets, verdict;
  };
  const std::vector<Row> rows{
      {"PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n", "192.0.2.1:12345 198.51.100.2:25"},
      {"PROXY TCP6 2001:db8::1 2001:db8::2 12345 25\r\n", "[2001:db8::1]:12345 [2001:db8::2]:25"},
      {"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 25\r\n", "192.0.2.1:1 [2001:db8::2]:25"},
      {"PROXY TCP4 192.0.2.1 198.51.100.2 0 65535\r\n", "192.0.2.1:0 198.51.100.2:65535"},
      {"PROXY UNKNOWN\r\n", "itself"},
      {"PROXY UNKNOWN ffff::1 whatever there is\r\n", "itself"},
      {version_2(0x21, 0x11, kV4), "192.0.2.1:12345 198.51.100.2:25"},
      {version_2(0x21, 0x11, kV4 + "\x04\x00\x02xy"s), "192.0.2.1:12345 198.51.100.2:25"},
      {version_2(0x21, 0x21, kV6), "[2001:db8::1]:12345 [2001:db8::2]:25"},
      {version_2(0x21, 0x00, ""), "itself"},
      {version_2(0x20, 0x00, ""), "itself"},
      {version_2(0x20, 0x11, kV4 + "anything"), "itself"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.octets);
    CHECK(verdict_on(row.octets) == row.verdict);
    const auto with_more = parse_proxy_header(row.octets + "EHLO x\r\n");
    REQUIRE((with_more && *with_more));
    CHECK((*with_more)->length == row.octets.size());
    for (std::size_t n = 0; n < row.octets.size(); ++n) {
      CHECK(verdict_on(row.octets.substr(0, n)) == "more");
    }
  }
}

TEST_CASE("whatever is not exactly a header is a fault") {
  const std::vector<std::string> rows{
      "EHLO x\r\n",
      "PROXY\r\n",
      "PROXY \r\n",
      "proxy TCP4 192.0.2.1 198.51.100.2 1 25\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 1 25\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 1 25 \r\n",
      "PROXY  TCP4 192.0.2.1 198.51.100.2 1 25\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 01 25\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n",
      "PROXY TCP4 192.0.2.256 198.51.100.2 1 25\r\n",
      "PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n",
      "PROXY TCP6 192.0.2.1 198.51.100.2 1 25\r\n",
      "PROXY TCP5 192.0.2.1 198.51.100.2 1 25\r\n",
      "PROXY UNKNOWN\n",
      "PROXY UNKNOWN" + std::string(93, ' ') + "\r\n",
      "PROXY UNKNOWN" + std::string(94, ' '),
      "\x16\x03\x01",
      "\r\n\r\n\r\n",
      version_2(0x11, 0x11, kV4),
      version_2(0x22, 0x11, kV4),
      version_2(0x21, 0x12, kV4),
      version_2(0x21, 0x31, std::string(216, 'x')),
      version_2(0x21, 0x11, kV4.substr(0, 11)),
      version_2(0x21, 0x21, kV4),
      version_2(0x21, 0x11, kV4 + "\x04\x00\x03xy"s),
      version_2(0x21, 0x11, kV4 + "\x04\x00"s),
      version_2(0x21, 0x11, "", 4097),
  };
  for (const auto& octets : rows) {
    CAPTURE(octets);
    CHECK(verdict_on(octets) == "fault");
  }
}

}  // namespace
