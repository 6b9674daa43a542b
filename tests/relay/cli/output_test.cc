#include "relay/cli/output.h"

#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using namespace relay::cli;
using namespace std::chrono_literals;
using relay::net::WallTime;

const WallTime kNow{std::chrono::sys_days(std::chrono::year(2026) / 3 / 1) + 9h};

TEST_CASE("what peers wrote cannot drive a terminal") {
  struct Row {
    std::string text, shown;
  };
  const std::vector<Row> rows{
      {"", ""},
      {"550 5.1.1 no such user", "550 5.1.1 no such user"},
      {"a\"b\\c", "a\"b\\c"},
      {"\x1b[2J\r\n\t", "\\x1b[2J\\x0d\\x0a\\x09"},
      {std::string("\0\x7f", 2), "\\x00\\x7f"},
      {"bücher €", "bücher €"},
      {"\xc2\x9b"
       "2J",
       "\\xc2\\x9b2J"},
      {"\x9b"
       "2J\xff",
       "\\x9b2J\\xff"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.shown);
    CHECK(printable(row.text) == row.shown);
  }
}

TEST_CASE("times are told as the distance from now, in one unit") {
  struct Row {
    std::chrono::milliseconds distance;
    const char* text;
  };
  const std::vector<Row> rows{
      {0ms, "now"},     {999ms, "now"},    {-999ms, "now"}, {1s, "in 1s"},
      {-1s, "1s ago"},  {119s, "in 119s"}, {120s, "in 2m"}, {-7199s, "119m ago"},
      {7200s, "in 2h"}, {-47h, "47h ago"}, {48h, "in 2d"},  {-24h * 30, "30d ago"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(relative(kNow + row.distance, kNow) == row.text);
  }
}

TEST_CASE("a moment is itself and its distance, and no moment a dash") {
  CHECK(moment("2026-03-01T06:00:00Z", kNow) == "2026-03-01T06:00:00Z (3h ago)");
  CHECK(short_moment("2026-03-01T06:00:00Z", kNow) == "3h ago");
  for (const Json& none : {Json(), Json(""), Json("soon"), Json(7)}) {
    CHECK(moment(none, kNow) == "-");
    CHECK(short_moment(none, kNow) == "-");
  }
}

TEST_CASE("sizes are told in the unit that fits") {
  struct Row {
    Json count;
    const char* text;
  };
  const std::vector<Row> rows{
      {0, "0 octets"},
      {1023, "1023 octets"},
      {1024, "1.0 KiB"},
      {1536, "1.5 KiB"},
      {20U << 20, "20.0 MiB"},
      {3ULL << 30, "3.0 GiB"},
      {5000ULL << 40, "5000.0 TiB"},
      {nullptr, "-"},
      {"many", "-"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(octets(row.count) == row.text);
  }
}

TEST_CASE("counts have their noun in the right number") {
  CHECK(counted(0, "message") == "0 messages");
  CHECK(counted(1, "message") == "1 message");
  CHECK(counted(2, "message") == "2 messages");
}

TEST_CASE("a member that is absent or of another type is shown as nothing") {
  const Json object{{"text", "a\x1b"}, {"number", 7}};
  CHECK(text_of(object, "text") == "a\\x1b");
  CHECK(text_of(object, "number").empty());
  CHECK(text_of(object, "absent").empty());
  CHECK(number_of(object, "number") == "7");
  CHECK(number_of(object, "text") == "-");
}

TEST_CASE("a table's columns are as wide as their widest cell, in characters") {
  Table table({"ID", "SENDER", "SIZE"});
  table.add({"1", "bücher", "9"});
  table.add({"22"});
  CHECK(table.text() == "ID  SENDER  SIZE\n1   bücher  9\n22\n");
}

}  // namespace
