#include "relay/message/address_list.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using relay::message::parse_address_list;

/// The addresses with blanks between, "-" for none, "fault" for what is no list.
std::string listed_in(const std::string& value) {
  const auto listed = parse_address_list(value);
  if (!listed) {
    return "fault";
  }
  std::string result;
  for (const auto& each : *listed) {
    result += (result.empty() ? "" : " ") + each.text;
  }
  return result.empty() ? "-" : result;
}

TEST_CASE("addresses are found in all forms that RFC 5322 knows, old ones too") {
  struct Row {
    std::string value, found;
  };
  const std::vector<Row> rows{
      {"", "-"},
      {" \r\n", "-"},
      {"a@b.example", "a@b.example"},
      {" root\r\n", "root"},
      {"root (Cron Daemon)", "root"},
      {"(x) root@host (Cron (nested \\) ) Daemon)", "root@host"},
      {"A Name <a@b.example>", "a@b.example"},
      {"\"Last, First\" <a@b.example>, c@d.example", "a@b.example c@d.example"},
      {"a@b.example,\r\n\tc@d.example", "a@b.example c@d.example"},
      {"a@b.example,,c@d.example,", "a@b.example c@d.example"},
      {"<a@b.example>", "a@b.example"},
      {"< a @ b . example >", "a@b.example"},
      {"a . b @ c.example", "a.b@c.example"},
      {"<@r.example,@s.example:a@b.example>", "a@b.example"},
      {"\"a b\"@c.example", "\"a b\"@c.example"},
      {"\"a \\\" b\"@c.example", "\"a \\\" b\"@c.example"},
      {"Friends: a@b.example, C <c@d.example>; , e@f.example",
       "a@b.example c@d.example e@f.example"},
      {"undisclosed-recipients:;", "-"},
      {"J. R. <a@b.example>", "a@b.example"},
      {"=?utf-8?Q?x?= <a@b.example>", "a@b.example"},
      {"a@b.example c@d.example", "fault"},
      {"two words", "fault"},
      {"<a@b.example", "fault"},
      {"a@b.example>", "fault"},
      {"<>", "fault"},
      {"<<a@b.example>>", "fault"},
      {"<a@b.example> x", "fault"},
      {"(never closed", "fault"},
      {"\"never closed", "fault"},
      {"Group: a@b.example", "fault"},
      {"a@b.example;", "fault"},
      {": a@b.example", "fault"},
      {"(ends in a backslash \\", "fault"},
      {"\"ends in a backslash \\", "fault"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.value);
    CHECK(listed_in(row.value) == row.found);
  }
}

TEST_CASE("an address is told with its place, so that it can be replaced") {
  const std::string value = " \"A\" <root@host> (x),\r\n plain@host (c)\r\n";
  const auto listed = parse_address_list(value);
  REQUIRE(listed);
  REQUIRE(listed->size() == 2);
  for (const auto& each : *listed) {
    CHECK(value.substr(each.begin, each.end - each.begin) == each.text);
  }
}

}  // namespace
