#include "relay/net/domain_name.h"

#include <array>
#include <string>
#include <unordered_set>

#include <doctest/doctest.h>

namespace {

using relay::net::DomainName;

TEST_CASE("names are folded to lower-case A-labels without a trailing dot") {
  struct Row {
    const char* given;
    const char* text;
  };
  const std::array<Row, 12> rows = {{
      {"example.com", "example.com"},
      {"MX.Example.COM", "mx.example.com"},
      {"example.com.", "example.com"},
      {"localhost", "localhost"},
      {"_mta-sts.example.com", "_mta-sts.example.com"},
      {"xn--bcher-kva.example", "xn--bcher-kva.example"},
      {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
      {"b\u00fccher.example", "xn--bcher-kva.example"},
      {"B\u00dcCHER.Example", "xn--bcher-kva.example"},
      {"fa\u00df.example", "xn--fa-hia.example"},  // non-transitional: not "fass"
      {"_smtp._tls.b\u00fccher.example", "_smtp._tls.xn--bcher-kva.example"},
      {"\u4f8b\u3048\u3002example", "xn--r8jz45g.example"},  // ideographic full stop
  }};
  for (const auto& row : rows) {
    CAPTURE(row.given);
    const auto name = DomainName::parse(row.given);
    REQUIRE(name);
    CHECK(name->text() == row.text);
    CHECK(DomainName::parse(name->text())->text() == row.text);
  }
}

TEST_CASE("what is no usable name is refused with a reason") {
  struct Row {
    std::string given;
    const char* reason;
  };
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  REQUIRE(longest.size() == 253);
  CHECK(DomainName::parse(longest));
  CHECK(DomainName::parse(longest + "."));
  const std::array<Row, 18> rows = {{
      {"", "empty"},
      {".", "empty"},
      {"..", "empty"},
      {"example..com", "empty"},
      {".example.com", "empty"},
      {"example.com..", "empty"},
      {label + "a.example", "longer than 63"},
      {longest + "a", "longer than 253"},
      {std::string(5000, 'a'), "longer than 253"},
      {"mx example.com", "0x20"},
      {"mx.example.com\n", "0x0a"},
      {std::string("mx\0.example.com", 15), "0x00"},
      {"[192.0.2.1]", "0x5b"},
      {"2001:db8::1", "0x3a"},
      {"192.0.2.1", "IP address"},
      {"192.0.2.1.", "IP address"},
      {"b\xfc"
       "cher.example",
       "IDNA"},
      {std::string("b\u00fccher\0.example", 16), "NUL"},
  }};
  for (const auto& row : rows) {
    CAPTURE(row.given);
    const auto name = DomainName::parse(row.given);
    REQUIRE_FALSE(name);
    CAPTURE(name.error().reason);
    CHECK(name.error().reason.find(row.reason) != std::string::npos);
  }
}

TEST_CASE("U-labels that map to something outside host names are refused") {
  for (const auto* text : {"\u2028.example", "a\u2488com", "\u200b", "b\u00fc cher.example",
                           "\u00ad.example", "\uff11\uff0e\uff12\uff0e\uff13\uff0e\uff14"}) {
    CAPTURE(text);
    CHECK_FALSE(DomainName::parse(text));
  }
}

TEST_CASE("equal names have equal hashes, and names are ordered as text") {
  const auto a = *DomainName::parse("A.example");
  const auto b = *DomainName::parse("b.example");
  std::unordered_set<DomainName> set{a, b, *DomainName::parse("a.EXAMPLE.")};
  CHECK(set.size() == 2);
  CHECK(a < b);
}

}  // namespace
