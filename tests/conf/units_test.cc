#include "conf/units.h"

#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using std::chrono::milliseconds;

TEST_CASE("durations are read with their unit, and nothing else is a duration") {
  struct Row {
    const char* text;
    std::optional<long> milliseconds;
  };
  const std::vector<Row> rows{
      {"0", 0},
      {"0s", 0},
      {"250ms", 250},
      {"30s", 30'000},
      {"5m", 300'000},
      {"4h", 14'400'000},
      {"2d", 172'800'000},
      {"", {}},
      {"5", {}},
      {"5x", {}},
      {"m", {}},
      {"-5m", {}},
      {"+5m", {}},
      {" 5m", {}},
      {"5m ", {}},
      {"5 m", {}},
      {"1h30m", {}},
      {"1.5h", {}},
      {"5M", {}},
      {"99999999999999999999s", {}},
      {"9223372036854775807ms", 9223372036854775807},
      {"9223372036854775807s", {}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto parsed = conf::parse_duration(row.text);
    CHECK(parsed ==
          (row.milliseconds ? std::optional(milliseconds(*row.milliseconds)) : std::nullopt));
  }
}

TEST_CASE("durations are written with the largest unit that holds them exactly") {
  struct Row {
    long milliseconds;
    const char* text;
  };
  const std::vector<Row> rows{{0, "0"},           {1, "1ms"},         {1500, "1500ms"},
                              {60'000, "1m"},     {90'000, "90s"},    {3'600'000, "1h"},
                              {86'400'000, "1d"}, {90'000'000, "25h"}};
  for (const Row& row : rows) {
    CHECK(conf::to_text(milliseconds(row.milliseconds)) == row.text);
    CHECK(conf::parse_duration(row.text) == milliseconds(row.milliseconds));
  }
}

TEST_CASE("sizes are octets or binary units") {
  struct Row {
    const char* text;
    std::optional<std::uint64_t> octets;
  };
  const std::vector<Row> rows{
      {"0", 0},
      {"1024", 1024},
      {"64KiB", 65536},
      {"25MiB", 26214400},
      {"1GiB", 1073741824},
      {"25MB", {}},
      {"25 MiB", {}},
      {"25mib", {}},
      {"MiB", {}},
      {"-1", {}},
      {"0x10", {}},
      {"1.5MiB", {}},
      {"99999999999999999999", {}},
      {"9999999999999GiB", {}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(conf::parse_size(row.text) == row.octets);
  }
  CHECK(conf::size_to_text(1536) == "1536");
  CHECK(conf::size_to_text(65536) == "64KiB");
  CHECK(conf::size_to_text(0) == "0");
}

TEST_CASE("addresses are IP literals with a port, IPv6 in brackets") {
  struct Row {
    const char* text;
    std::uint16_t default_port;
    const char* expected;  // "" for none
  };
  const std::vector<Row> rows{
      {"192.0.2.1:25", 0, "192.0.2.1:25"},
      {"192.0.2.1", 25, "192.0.2.1:25"},
      {"192.0.2.1", 0, ""},
      {"[2001:DB8:0::1]:25", 0, "[2001:db8::1]:25"},
      {"[::1]", 53, "[::1]:53"},
      {"[::ffff:192.0.2.1]:25", 0, "192.0.2.1:25"},
      {"::1", 53, ""},
      {"::1:25", 0, ""},
      {"[192.0.2.1]:25", 0, ""},
      {"[::1]25", 0, ""},
      {"[::1", 25, ""},
      {"[fe80::1%eth0]:25", 0, ""},
      {"localhost:25", 0, ""},
      {"192.0.2.1:0", 25, ""},
      {"192.0.2.1:65536", 0, ""},
      {"192.0.2.1:", 25, ""},
      {"192.0.2.1:+25", 0, ""},
      {"192.0.2.01:25", 0, ""},
      {"", 25, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto parsed = conf::parse_address(row.text, row.default_port);
    CHECK((parsed ? parsed->text() : "") == row.expected);
  }
}

TEST_CASE("networks hold the addresses below their prefix") {
  struct Row {
    const char* network;
    const char* ip;
    bool contains;
  };
  const std::vector<Row> rows{
      {"192.0.2.0/24", "192.0.2.255", true},
      {"192.0.2.0/24", "192.0.3.0", false},
      {"10.0.0.0/9", "10.127.0.1", true},
      {"10.0.0.0/9", "10.128.0.1", false},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"::/0", "192.0.2.1", false},
      {"2001:db8::/33", "2001:db8:7fff::1", true},
      {"2001:db8::/33", "2001:db8:8000::1", false},
      {"192.0.2.7", "192.0.2.7", true},
      {"192.0.2.7", "192.0.2.6", false},
      {"::1", "::1", true},
      {"192.0.2.0/24", "::ffff:192.0.2.9", true},
      {"::ffff:192.0.2.0/120", "192.0.2.9", true},
      {"192.0.2.0/24", "", false},
      {"192.0.2.0/24", "no address", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.network);
    CAPTURE(row.ip);
    const auto network = conf::Network::parse(row.network);
    REQUIRE(network);
    CHECK(network->contains(row.ip) == row.contains);
  }
}

TEST_CASE("a text that is no network, or has host bits, is refused") {
  for (const char* text :
       {"", "192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "2001:db8::1/64",
        "::/129", "192.0.2/24", "example.com", "10.0.0.0/8/8", "::ffff:192.0.2.1/120"}) {
    CAPTURE(text);
    CHECK_FALSE(conf::Network::parse(text));
  }
}

TEST_CASE("networks are written in canonical form") {
  CHECK(conf::Network::parse("2001:DB8:0:0::/32")->text() == "2001:db8::/32");
  CHECK(conf::Network::parse("192.0.2.7")->text() == "192.0.2.7/32");
  CHECK(conf::Network::parse("::ffff:0:0/96")->text() == "0.0.0.0/0");
}

}  // namespace
