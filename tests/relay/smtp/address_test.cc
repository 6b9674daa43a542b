#include "relay/smtp/address.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using relay::smtp::AddressFault;
using relay::smtp::parse_mailbox;
using relay::smtp::take_path;

TEST_CASE("mailboxes are read with their domain in A-labels") {
  struct Row {
    std::string text, address;
    bool literal = false;
    bool utf8 = false;
  };
  const std::vector<Row> rows{
      {"a@Example.COM", "a@example.com"},
      {"A.b+c@x.example.", "A.b+c@x.example"},
      {"a@_x._tcp.a--b.example", "a@_x._tcp.a--b.example"},
      {"\"a b\\\"@\"@x.example", "\"a b\\\"@\"@x.example"},
      {"x@b\xc3\xbc"
       "cher.example",
       "x@xn--bcher-kva.example"},
      {"\xc3\xbc@x.example", "\xc3\xbc@x.example", false, true},
      {"x@[192.0.2.1]", "x@[192.0.2.1]", true},
      {"x@[ipv6:2001:DB8::1]", "x@[IPv6:2001:db8::1]", true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto address = parse_mailbox(row.text);
    REQUIRE(address.has_value());
    CHECK(address->text() == row.address);
    CHECK(address->literal == row.literal);
    CHECK(address->utf8 == row.utf8);
  }
}

TEST_CASE("what is no mailbox is refused with its fault") {
  struct Row {
    std::string text;
    AddressFault fault;
  };
  const std::vector<Row> rows{
      {"", AddressFault::syntax},
      {"@x.example", AddressFault::syntax},
      {".a@x.example", AddressFault::syntax},
      {"a..b@x.example", AddressFault::syntax},
      {"a.@x.example", AddressFault::syntax},
      {"a b@x.example", AddressFault::syntax},
      {"a<b@x.example", AddressFault::syntax},
      {"\"a@x.example", AddressFault::syntax},
      {"\"a\"b@x.example", AddressFault::syntax},
      {std::string("\"\0\"@x.example", 13), AddressFault::syntax},
      {"postmaster", AddressFault::no_domain},
      {"\"a\"", AddressFault::no_domain},
      {"a@", AddressFault::domain},
      {"a@192.0.2.1", AddressFault::domain},
      {"a@-x.example", AddressFault::domain},
      {"a@x-.example", AddressFault::domain},
      {"a@x.-y.example", AddressFault::domain},
      {"a@x-", AddressFault::domain},
      {"a@x@y", AddressFault::domain},
      {"a@[192.0.2]", AddressFault::domain},
      {"a@[2001:db8::1]", AddressFault::domain},
      {std::string(65, 'a') + "@x.example", AddressFault::local_too_long},
      {"\xff@x.example", AddressFault::not_utf8},
      {"\xc0\xaf@x.example", AddressFault::not_utf8},
      {"\xed\xa0\x80@x.example", AddressFault::not_utf8},
      {"\xc3", AddressFault::not_utf8},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto address = parse_mailbox(row.text);
    REQUIRE_FALSE(address.has_value());
    CHECK(address.error() == row.fault);
    CHECK_FALSE(explanation(row.fault).empty());
  }
}

TEST_CASE("paths end at their bracket, and a source route is dropped") {
  std::string_view text = "  <@a.example,@b.example:x@d.example> SIZE=1";
  const auto routed = take_path(text);
  REQUIRE(routed.has_value());
  CHECK((*routed)->text() == "x@d.example");
  CHECK(text == " SIZE=1");

  text = "<\"a>b\"@d.example>";
  const auto quoted = take_path(text);
  REQUIRE(quoted.has_value());
  CHECK((*quoted)->local == "\"a>b\"");

  text = "<>";
  const auto null = take_path(text);
  REQUIRE(null.has_value());
  CHECK_FALSE(null->has_value());

  for (const std::string bad : {"x@d.example", "<x@d.example", "<@a.example>", ""}) {
    text = bad;
    CHECK(take_path(text).error() == AddressFault::syntax);
  }
  const std::string long_path = "<x@" + std::string(254, 'd') + ">";
  text = long_path;
  CHECK(take_path(text).error() == AddressFault::path_too_long);
}
