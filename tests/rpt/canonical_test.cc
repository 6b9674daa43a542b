#include "rpt/canonical.h"

#include <vector>

#include <doctest/doctest.h>

using rpt::PolicyDescription;
using rpt::PolicyType;

TEST_CASE("TLSA records are put into the order of their numbers") {
  const auto policy = rpt::canonical(
      PolicyDescription{PolicyType::tlsa,
                        {"10 0 1 aa", "3 1 2 bb", "3 1 1 ff", "3 1 1 0a", "x y z", "junk"},
                        "a",
                        {}});
  CHECK(policy.strings ==
        std::vector<std::string>{"3 1 1 0A", "3 1 1 FF", "3 1 2 BB", "10 0 1 AA", "JUNK", "X Y Z"});
}

TEST_CASE("lines of an STS policy stay in published order and as they were") {
  const PolicyDescription policy{
      PolicyType::sts, {"mode: none", "Version: b", "mode: none"}, "a.example", {"*.A.example"}};
  CHECK(rpt::canonical(policy).strings == policy.strings);
  CHECK(rpt::canonical(policy).mx_hosts == std::vector<std::string>{"*.a.example"});
}

TEST_CASE("an address has one canonical text, what is no address has none") {
  struct Row {
    std::string text, canonical;
  };
  for (const auto& [text, canonical] :
       {Row{"192.0.2.1", "192.0.2.1"}, Row{"::ffff:192.0.2.1", "192.0.2.1"},
        Row{"::FFFF:c000:0201", "192.0.2.1"}, Row{"2001:0DB8:0:0:0:0:0:0001", "2001:db8::1"},
        Row{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, Row{"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
        Row{"::1", "::1"}, Row{"", ""}, Row{"192.0.2.01", ""}, Row{"192.0.2.1:25", ""},
        Row{"mx.example", ""}}) {
    CAPTURE(text);
    CHECK(rpt::canonical_ip(text) == canonical);
  }
}

TEST_CASE("of a greeting or EHLO reply the announced name is kept") {
  struct Row {
    std::string reply, name;
  };
  for (const auto& [reply, name] :
       {Row{"mx.example", "mx.example"}, Row{"mx.example at your service", "mx.example"},
        Row{"250-mx.example hello\r\n250 SIZE", "mx.example"}, Row{"220 mx.example", "mx.example"},
        Row{" mx.example\r\n", "mx.example"}, Row{"mx\x01.example", "mx"}, Row{"", ""},
        Row{"250-", ""}, Row{"2500 mx", "2500"},
        Row{std::string(300, 'x'), std::string(255, 'x')}}) {
    CAPTURE(reply);
    CHECK(rpt::announced_name(reply) == name);
  }
}
