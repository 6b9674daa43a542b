#include "sts/policy.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/sts/rows.h"

namespace {

using sts::Strictness;

std::string body_of(const YAML::Node& row) {
  if (row["body"]) {
    return row["body"].as<std::string>();
  }
  const YAML::Node& made = row["body_gen"];
  std::string body = made["head"].as<std::string>();
  for (int i = 0; i < made["count"].as<int>(); ++i) {
    auto line = made["repeat"].as<std::string>();
    if (const auto at = line.find("%d"); at != std::string::npos) {
      line.replace(at, 2, std::to_string(i));
    }
    body += line;
  }
  return body + made["tail"].as<std::string>();
}

std::vector<std::string> patterns(const sts::Policy& policy) {
  std::vector<std::string> texts;
  for (const sts::MxPattern& pattern : policy.mx) {
    texts.push_back(pattern.text());
  }
  return texts;
}

void check_level(const std::string& body, Strictness level, const YAML::Node& expected) {
  const auto parsed = sts::parse_policy(body, level, to_ascii);
  CAPTURE(parsed.failure_code());
  CHECK(parsed.failure_code().empty() == parsed.policy.has_value());
  if (expected.IsScalar()) {
    CHECK(expected.as<std::string>() == "invalid");
    CHECK_FALSE(parsed.policy);
    return;
  }
  REQUIRE(parsed.policy);
  CHECK(sts::name(parsed.policy->mode) == expected["mode"].as<std::string>());
  CHECK(parsed.policy->max_age.count() == expected["max_age"].as<std::int64_t>());
  if (expected["mx"]) {
    CHECK(patterns(*parsed.policy) == expected["mx"].as<std::vector<std::string>>());
  }
  if (expected["mx_count"]) {
    CHECK(parsed.policy->mx.size() == expected["mx_count"].as<std::size_t>());
  }
  CHECK(parsed.policy->body == body);
}

const std::string kGood = "version: STSv1\nmode: enforce\nmx: mx.example.net\nmax_age: 86400\n";

}  // namespace

TEST_CASE("a policy body is read as the conformance row says at the strict level") {
  for (const YAML::Node& row : rows("policy_body")) {
    SUBCASE(title(row).c_str()) {
      check_level(body_of(row), Strictness::strict, row["strict"]);
    }
  }
}

TEST_CASE("a policy body is read as the conformance row says at the tolerant level") {
  for (const YAML::Node& row : rows("policy_body")) {
    SUBCASE(title(row).c_str()) {
      check_level(body_of(row), Strictness::tolerant, row["rec"] ? row["rec"] : row["strict"]);
    }
  }
}

TEST_CASE("an MX host matches the patterns that the conformance row says") {
  for (const YAML::Node& row : rows("mx_match")) {
    SUBCASE(title(row).c_str()) {
      std::string body = "version: STSv1\nmode: enforce\nmax_age: 86400\n";
      for (const auto& pattern : row["patterns"].as<std::vector<std::string>>()) {
        body += "mx: " + pattern + "\n";
      }
      const auto parsed = sts::parse_policy(body, Strictness::tolerant, to_ascii);
      const bool match = parsed.policy && parsed.policy->covers(row["host"].as<std::string>());
      CHECK(match == row["match"].as<bool>());
    }
  }
}

TEST_CASE("a fault costs the policy at the level its code says") {
  enum class Cost { both, strict_only };
  struct Row {
    std::string body;
    std::string code;
    std::size_t line;
    Cost cost;
  };
  const auto with = [](const std::string& line) { return kGood + line; };
  const std::string mx_less = "version: STSv1\nmode: enforce\nmax_age: 86400\n";
  for (const auto& [body, code, line, cost] :
       {Row{"", "empty-body", 0, Cost::both},
        Row{std::string(65537, '\n'), "policy-too-large", 0, Cost::both},
        Row{"\xEF\xBB\xBF" + kGood, "byte-order-mark", 1, Cost::strict_only},
        Row{"\n" + kGood, "empty-line", 1, Cost::strict_only},
        Row{with("\r\n"), "empty-line", 5, Cost::strict_only},
        Row{with(" \t\n"), "empty-line", 5, Cost::strict_only},
        Row{with(" note: x"), "leading-blank", 5, Cost::both},
        Row{with("\tmx: other.example"), "leading-blank", 5, Cost::both},
        Row{with("<meta content=\"a: b\">"), "html", 5, Cost::both},
        Row{with("mx other.example"), "no-colon", 5, Cost::both},
        Row{with("mode : none"), "blank-before-colon", 5, Cost::both},
        Row{with("note : x"), "bad-field-name", 5, Cost::strict_only},
        Row{with(": x"), "bad-field-name", 5, Cost::strict_only},
        Row{with(std::string(33, 'n') + ": x"), "bad-field-name", 5, Cost::strict_only},
        Row{with("note: a\tb"), "bad-field-value", 5, Cost::strict_only},
        Row{with("note: a\rb"), "bad-field-value", 5, Cost::strict_only},
        Row{with("note: \xC0\xAF"), "bad-field-value", 5, Cost::strict_only},
        Row{with("note: \xED\xA0\x80"), "bad-field-value", 5, Cost::strict_only},
        Row{with("note: \xE2\x82"), "bad-field-value", 5, Cost::strict_only},
        Row{with("note:  "), "empty-value", 5, Cost::strict_only},
        Row{with("mx: b\xC3\xBC"
                 "cher.example"),
            "u-label", 5, Cost::strict_only},
        Row{with("mx: *.b\xC3\xBC"
                 "cher.example."),
            "trailing-dot", 5, Cost::strict_only},
        Row{with("mx: mx.example.net.."), "bad-mx", 5, Cost::strict_only},
        Row{with("mx:"), "bad-mx", 5, Cost::strict_only},
        Row{with("mx: [192.0.2.1]"), "bad-mx", 5, Cost::strict_only},
        Row{with("mx: 2001:db8::1"), "bad-mx", 5, Cost::strict_only},
        Row{mx_less, "no-mx", 0, Cost::both},
        Row{"version: STSv2\nversion: STSv1\nmode: none\nmax_age: 1", "bad-version", 1, Cost::both},
        Row{"mode: x\nmode: none\nversion: STSv1\nmax_age: 1", "bad-mode", 1, Cost::both},
        Row{"max_age: x\nmax_age: 1\nmode: none\nversion: STSv1", "bad-max-age", 1, Cost::both},
        Row{"mode: none\nversion: STSv1", "no-max-age", 0, Cost::both},
        Row{"mode: none\nversion: STSv1\nmax_age: 00000000001", "bad-max-age", 3, Cost::both},
        Row{"mode: none\nversion: STSv1\nmax_age: 31557601", "max-age-too-large", 3,
            Cost::strict_only}}) {
    CAPTURE(body.substr(0, 200));
    const auto strict = sts::parse_policy(body, Strictness::strict, to_ascii);
    CHECK_FALSE(strict.policy);
    CHECK(strict.failure_code() == code);
    const auto tolerant = sts::parse_policy(body, Strictness::tolerant, to_ascii);
    CHECK(tolerant.policy.has_value() == (cost == Cost::strict_only));
    const auto found = std::find_if(tolerant.diagnostics.begin(), tolerant.diagnostics.end(),
                                    [&code = code](const auto& each) { return each.code == code; });
    REQUIRE(found != tolerant.diagnostics.end());
    CHECK(found->line == line);
    CHECK(found->severity ==
          (cost == Cost::both ? sts::Severity::fatal : sts::Severity::tolerated));
    CHECK_FALSE(found->message.empty());
  }
}

TEST_CASE("enforce whose mx values are all bad is no policy, none needs no mx at all") {
  const auto parse = [](const std::string& mode) {
    return sts::parse_policy(
        "version: STSv1\nmode: " + mode + "\nmx: a_b.example\nmx: 192.0.2.1\nmax_age: 1\n",
        Strictness::tolerant);
  };
  CHECK(parse("enforce").failure_code() == "no-usable-mx");
  CHECK(parse("testing").failure_code() == "no-usable-mx");
  REQUIRE(parse("none").policy);
  CHECK(parse("none").policy->mx.empty());
}

TEST_CASE("a repeated field is pointed out and costs no policy at either level") {
  for (const Strictness level : {Strictness::strict, Strictness::tolerant}) {
    const auto parsed = sts::parse_policy(kGood + "mode: none\nmax_age: junk\n", level);
    REQUIRE(parsed.policy);
    CHECK(parsed.policy->mode == sts::Mode::enforce);
    REQUIRE(parsed.diagnostics.size() == 2);
    CHECK(parsed.diagnostics[0].code == "duplicate-field");
    CHECK(parsed.diagnostics[1].line == 6);
  }
}

TEST_CASE("the number of diagnostics is bounded and never hides the fatal one") {
  const std::string body = kGood + std::string(60000, '\n') + "x";
  const auto parsed = sts::parse_policy(body, Strictness::tolerant);
  CHECK_FALSE(parsed.policy);
  CHECK(parsed.failure_code() == "no-colon");
  CHECK(parsed.diagnostics.size() <= 101);
}

TEST_CASE("a body of exactly 64 KiB is read") {
  std::string body = kGood + "note: ";
  body.resize(65536, 'x');
  CHECK(sts::parse_policy(body, Strictness::strict).policy);
  CHECK_FALSE(sts::parse_policy(body + "x", Strictness::strict).policy);
}

TEST_CASE("policy lines are the lines as served, without line ends, errors included") {
  CHECK(
      sts::policy_lines("\xEF\xBB\xBFversion: STSv1 \r\n\nmode:enforce\nmx: a\rb\nmax_age: 1\r") ==
      std::vector<std::string>{"version: STSv1 ", "mode:enforce", "mx: a\rb", "max_age: 1\r"});
  CHECK(sts::policy_lines("").empty());
}

TEST_CASE("an mx pattern is folded to lower case and names no address") {
  REQUIRE(sts::MxPattern::parse("*.Pool.Example.NET"));
  CHECK(sts::MxPattern::parse("*.Pool.Example.NET")->text() == "*.pool.example.net");
  for (const std::string text :
       {"", "*", "*.", ".", "*.*.example", "a.*.example", "*a.example", "-a.example", "a-.example",
        "a..example", "a.example.", ".a.example", "a b.example", "1.2.3.4", "*.2.3.4", "::1",
        "mx.example:25", "mx_1.example"}) {
    CAPTURE(text);
    CHECK_FALSE(sts::MxPattern::parse(text));
  }
}

TEST_CASE("a wildcard stands for one whole left-most label of a host name") {
  const auto pattern = sts::MxPattern::parse("*.example.net");
  REQUIRE(pattern);
  for (const std::string host :
       {"a.example.net", "A.EXAMPLE.NET", "a.example.net.", "a_b.example.net"}) {
    CAPTURE(host);
    CHECK(pattern->matches(host));
  }
  for (const std::string host :
       {"", ".", "example.net", "example.net.", ".example.net", "a.b.example.net", "*.example.net",
        "a.example.net..", "a b.example.net", "aexample.net", "b\xC3\xBC.example.net"}) {
    CAPTURE(host);
    CHECK_FALSE(pattern->matches(host));
  }
  CHECK_FALSE(pattern->matches(std::string(64, 'a') + ".example.net"));
}
