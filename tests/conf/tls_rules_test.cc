#include "conf/tls_rules.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conf/config.h"
#include "conf/preload.h"

namespace {

using conf::Moment;
using conf::TlsLevel;
using std::chrono::sys_days;
using std::chrono::year;

const std::string kHex = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

/// "line 3: key: reason" of every error, one a line.
template <class Result>
std::string texts(const Result& result) {
  std::string lines;
  if (!result) {
    for (const conf::ConfigError& error : result.error()) {
      lines += (lines.empty() ? "" : "\n") + error.text();
    }
  }
  return lines;
}

TEST_CASE("tls_policy: rules are read into their places") {
  const auto config = conf::parse(R"(
tls_policy:
  default: dane-only
  report_only: true
  dane_with_sts: both
  revocation: off
  preload: /etc/stsrelay/preload.yaml
  domains:
    Example.COM: {level: verify, report_only: true}
    example.net: {level: fingerprint, fingerprints: [)" +
                                  kHex + R"(]}
    bank.example: {mx: ["*.Bank.example", mx.example], reason: pin}
    "*.old.example": {level: opportunistic, until: 2026-12-31, reason: "ticket 123"}
    plain.example: {level: none, until: 2026-12-31T12:30:00Z, reason: x}
)");
  REQUIRE(texts(config) == "");
  const conf::TlsPolicy& policy = config->tls_policy;
  CHECK(policy.default_level == TlsLevel::dane_only);
  CHECK(policy.report_only);
  CHECK(policy.dane_with_sts == conf::TlsPolicy::DaneWithSts::both);
  CHECK(policy.revocation == conf::TlsPolicy::Revocation::off);
  CHECK(policy.preload == "/etc/stsrelay/preload.yaml");
  REQUIRE(policy.domains.size() == 5);
  CHECK(policy.domains.at("example.com").level == TlsLevel::verify);
  CHECK(policy.domains.at("example.com").report_only);
  CHECK(policy.domains.at("example.net").fingerprints == std::vector{kHex});
  const conf::TlsRule& pin = policy.domains.at("bank.example");
  CHECK(pin.mx == std::vector<std::string>{"*.bank.example", "mx.example"});
  CHECK(pin.effective_level() == TlsLevel::verify);
  CHECK_FALSE(pin.exempts());
  CHECK(pin.reason == "pin");
  const conf::TlsRule& exemption = policy.domains.at("*.old.example");
  CHECK(exemption.exempts());
  CHECK(exemption.until == Moment(sys_days(year(2027) / 1 / 1)));
  CHECK(policy.domains.at("plain.example").until ==
        Moment(sys_days(year(2026) / 12 / 31)) + std::chrono::minutes(750));
}

TEST_CASE("tls_policy: an error names its line, its key, what was wrong and what is accepted") {
  struct Row {
    const char* rules;  // from line 3 on
    const char* text;
  };
  const std::vector<Row> rows{
      {"    a.example: {level: strict}",
       "line 3: tls_policy.domains.a.example.level: \"strict\" is not known; write one of none, "
       "opportunistic, encrypt, verify, dane, dane-only, fingerprint"},
      {"    a.example: {level: verify}\n    a.example.: {level: verify}",
       "line 4: tls_policy.domains.a.example.: is no policy domain; write example.com or "
       "*.example.com (internationalised names in their xn-- form, without a trailing dot)"},
      {"    \"*\": {level: verify}",
       "line 3: tls_policy.domains.*: is no policy domain; write example.com or *.example.com "
       "(internationalised names in their xn-- form, without a trailing dot)"},
      {"    a.example: {level: verify}\n    A.example: {level: none}",
       "line 4: tls_policy.domains.a.example: is given twice (first on line 3); remove one"},
      {"    a.example:\n      mx:\n        - mx.a.example\n        - mx.*.example",
       "line 6: tls_policy.domains.a.example.mx[1]: \"mx.*.example\" is no MX host; write "
       "mx.example.com, or *.example.com for every name one label below it"},
      {"    a.example: {fingerprints: [0123]}",
       "line 3: tls_policy.domains.a.example.fingerprints[0]: \"0123\" is no SHA-256 fingerprint; "
       "write 64 hex digits, with or without colons"},
      {"    a.example:\n      level: none\n      until: tomorrow\n      reason: x",
       "line 5: tls_policy.domains.a.example.until: \"tomorrow\" is no date; write for example "
       "2026-12-31 (to the end of that day, UTC) or 2026-12-31T12:00:00Z"},
      {"    a.example:\n      level: opportunistic\n      reason: x",
       "line 3: tls_policy.domains.a.example.until: level opportunistic exempts the domain from "
       "its TLS policies; say until when, for example 2026-12-31"},
      {"    a.example: {level: none, until: 2026-12-31}",
       "line 3: tls_policy.domains.a.example.reason: level none exempts the domain from its TLS "
       "policies; say why, for example \"expired certificate, ticket 123\""},
      {"    a.example: {level: none, until: 2026-12-31, reason: \"\"}",
       "line 3: tls_policy.domains.a.example.reason: level none exempts the domain from its TLS "
       "policies; say why, for example \"expired certificate, ticket 123\""},
      {"    a.example:\n      mx: [mx.a.example]\n      level: encrypt",
       "line 5: tls_policy.domains.a.example.level: encrypt contradicts mx, whose hosts must prove "
       "their names; write verify, or remove one of the two"},
      {"    a.example: {mx: [mx.a.example], level: dane}",
       "line 3: tls_policy.domains.a.example.level: dane contradicts mx, whose hosts must prove "
       "their names; write verify, or remove one of the two"},
      {"    a.example: {}",
       "line 3: tls_policy.domains.a.example: says nothing; give a level, mx or fingerprints, or "
       "remove it"},
      {"    a.example: {reason: x, until: 2026-12-31, mx: []}",
       "line 3: tls_policy.domains.a.example: says nothing; give a level, mx or fingerprints, or "
       "remove it"},
      {"    a.example: {report_only: true}",
       "line 3: tls_policy.domains.a.example.level: is missing; say what is to be reported only: "
       "level, mx or both"},
      {"    a.example: {level: fingerprint}",
       "line 3: tls_policy.domains.a.example.fingerprints: is missing or empty; level fingerprint "
       "needs at least one"},
      {"    a.example: {reason: \"a\\nb\", level: verify}",
       "line 3: tls_policy.domains.a.example.reason: \"a\nb\" is too long or has control "
       "characters; write one line of at most 500 octets"},
      {"    a.example: {levle: verify}",
       "line 3: tls_policy.domains.a.example.levle: is no setting; known here: level, mx, "
       "fingerprints, until, reason, report_only"},
      {"    a.example: verify",
       "line 3: tls_policy.domains.a.example: must hold \"key: value\" lines"},
      {"    a.example:",
       "line 3: tls_policy.domains.a.example: has no value; give one or remove the line"},
      {"  default: fingerprint",
       "line 3: tls_policy.default: \"fingerprint\" is not known; write one of none, "
       "opportunistic, encrypt, verify, dane, dane-only"},
      {"  preload: preload.yaml",
       "line 3: tls_policy.preload: \"preload.yaml\" is no absolute path; it must begin with /"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.rules);
    const std::string rules = row.rules;
    const bool by_domain = rules.starts_with("    ");
    const auto config = conf::parse("tls_policy:\n" +
                                    std::string(by_domain ? "  domains:\n" : "\n") + rules + "\n");
    CHECK(texts(config) == row.text);
  }
  CHECK(texts(conf::parse("tls_policy: {domains: [a.example]}")) ==
        "line 1: tls_policy.domains: must hold \"key: value\" lines");
  CHECK(
      texts(conf::parse("tls_policy:\n  domains:\n    a.example: {level: encrypt, fingerprints: [" +
                        kHex + "]}\n")) ==
      "line 3: tls_policy.domains.a.example.level: encrypt does not "
      "look at fingerprints; write fingerprint, or remove them");
}

TEST_CASE("tls_policy: what mx and fingerprints imply, and what may stand together") {
  struct Row {
    const char* rule;
    TlsLevel level;
  };
  const std::string hex = "{fingerprints: [" + kHex + "]}";
  const std::string both = "{mx: [mx.a.example], fingerprints: [" + kHex + "]}";
  for (const Row& row :
       std::vector<Row>{{"{mx: [mx.a.example]}", TlsLevel::verify},
                        {"{mx: [mx.a.example], level: verify}", TlsLevel::verify},
                        {"{mx: [a.example], level: dane-only}", TlsLevel::dane_only},
                        {hex.c_str(), TlsLevel::fingerprint},
                        {both.c_str(), TlsLevel::fingerprint},
                        {"{level: dane}", TlsLevel::dane},
                        {"{level: encrypt}", TlsLevel::encrypt}}) {
    CAPTURE(row.rule);
    const auto config =
        conf::parse("tls_policy: {domains: {a.example: " + std::string(row.rule) + "}}");
    REQUIRE(texts(config) == "");
    CHECK(config->tls_policy.domains.at("a.example").effective_level() == row.level);
  }
}

TEST_CASE("tls_policy: what is written and read again is the same") {
  const auto config = conf::parse(
      "tls_policy: {default: verify, preload: /p, dane_with_sts: both, revocation: off, domains: {"
      "\"*.a.example\": {mx: [\"*.b.example\"], reason: \"a: 'b' #\"}, "
      "c.example: {level: none, until: 2026-12-31, reason: x}, "
      "d.example: {level: verify, until: 2026-12-31T01:02:03Z, report_only: true}, "
      "e.example: {fingerprints: [" +
      kHex + "]}}}\ndns: {dnssec: validate, trust_anchor: /k}");
  REQUIRE(texts(config) == "");
  const std::string yaml = conf::to_yaml(*config);
  CAPTURE(yaml);
  const auto again = conf::parse(yaml);
  REQUIRE(texts(again) == "");
  CHECK(*again == *config);
}

TEST_CASE("moments: a date ends with its day, other moments are themselves, in UTC") {
  struct Row {
    const char* text;
    long seconds;  // since the epoch; 0: refused
  };
  for (const Row& row : std::vector<Row>{{"2026-12-31", 1'798'761'600},
                                         {"2024-02-29", 1'709'251'200},
                                         {"2026-12-31T12:00:00Z", 1'798'718'400},
                                         {"2026-12-31T00:00:01Z", 1'798'675'201},
                                         {"2025-02-29", 0},
                                         {"2026-13-01", 0},
                                         {"2026-1-01", 0},
                                         {"31.12.2026", 0},
                                         {"2026-12-31T24:00:00Z", 0},
                                         {"2026-12-31T12:00:00", 0},
                                         {"2026-12-31T12:00:00+01:00", 0},
                                         {"2026-12-31 12:00:00Z", 0},
                                         {"", 0}}) {
    CAPTURE(row.text);
    const auto moment = conf::parse_moment(row.text);
    REQUIRE(moment.has_value() == (row.seconds != 0));
    if (moment) {
      CHECK(*moment == Moment(std::chrono::seconds(row.seconds)));
      CHECK(conf::to_text(*moment) == row.text);
    }
  }
}

TEST_CASE("fingerprints: 64 hex digits, with or without colons, become lower case") {
  std::string colons, capitals;
  for (std::size_t i = 0; i < kHex.size(); i += 2) {
    colons += (i == 0 ? "" : ":") + kHex.substr(i, 2);
  }
  for (const char c : kHex) {
    capitals += c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  std::string other = colons;
  other[2] = '-';
  CHECK(conf::parse_fingerprint(kHex) == kHex);
  CHECK(conf::parse_fingerprint(colons) == kHex);
  CHECK(conf::parse_fingerprint(capitals) == kHex);
  for (const std::string& text :
       {std::string(), kHex + "0", kHex.substr(1), other, "g" + kHex.substr(1), colons + ":"}) {
    CAPTURE(text);
    CHECK_FALSE(conf::parse_fingerprint(text));
  }
}

TEST_CASE("dns.dnssec: validate needs a trust anchor") {
  CHECK(conf::parse("")->dns.dnssec == conf::Dns::Dnssec::trust_ad);
  CHECK(conf::parse("")->dns.trust_anchor == "/usr/share/dns/root.key");
  CHECK(conf::parse("dns: {dnssec: validate}")->dns.dnssec == conf::Dns::Dnssec::validate);
  CHECK(texts(conf::parse("dns:\n  dnssec: validate\n  trust_anchor: \"\""))
            .find("line 3: dns.trust_anchor: is empty") == 0);
  CHECK(texts(conf::parse("dns: {dnssec: yes}")).find("trust_ad, validate") != std::string::npos);
}

TEST_CASE("warnings: a rule that is over is named with its line, and is no error") {
  const std::string yaml =
      "tls_policy:\n  domains:\n    a.example: {level: none, until: 2026-01-31, reason: x}\n"
      "    b.example:\n      level: verify\n      until: 2026-02-02\n    c.example: {level: "
      "verify}\n";
  CHECK(texts(conf::parse(yaml)) == "");
  const auto at = [&yaml](std::chrono::sys_days day) {
    std::vector<std::string> lines;
    for (const conf::ConfigError& warning : conf::warnings(yaml, day)) {
      lines.push_back(warning.text());
    }
    return lines;
  };
  CHECK(at(year(2026) / 1 / 31).empty());
  CHECK(at(year(2026) / 2 / 1) ==
        std::vector<std::string>{"line 3: tls_policy.domains.a.example.until: 2026-01-31 is over, "
                                 "the rule is as if it were not there; remove it"});
  REQUIRE(at(year(2026) / 3 / 1).size() == 2);
  CHECK(at(year(2026) / 3 / 1)[1].starts_with("line 6: tls_policy.domains.b.example.until: "));
}

TEST_CASE("preload: hosts by domain, as a list or with an end") {
  const auto preload = conf::parse_preload(
      "A.example: [mx1.a.example, \"*.b.example\"]\n"
      "c.example: {mx: [mx.c.example], until: 2026-12-31}\n");
  REQUIRE(texts(preload) == "");
  REQUIRE(preload->size() == 2);
  CHECK(preload->at("a.example").mx == std::vector<std::string>{"mx1.a.example", "*.b.example"});
  CHECK_FALSE(preload->at("a.example").until);
  CHECK(preload->at("c.example").until == Moment(sys_days(year(2027) / 1 / 1)));
  CHECK(conf::parse_preload("# nothing\n")->empty());
}

TEST_CASE("preload: an error names its line") {
  struct Row {
    const char* yaml;
    const char* text;
  };
  for (const Row& row : std::vector<Row>{
           {"a.example: [mx.a.example]\n\"*.b.example\": [mx.b.example]",
            "line 2: *.b.example: is no policy domain; write for example example.com "
            "(internationalised names in their xn-- form, without a trailing dot)"},
           {"a.example:\n  - mx.a.example\n  - 192.0.2.1",
            "line 3: a.example.mx[1]: \"192.0.2.1\" is no MX host; write mx.example.com, or "
            "*.example.com for every name one label below it"},
           {"\na.example: []",
            "line 2: a.example: has no mx; name the hosts that receive its mail"},
           {"a.example: {until: 2026-12-31}",
            "line 1: a.example: has no mx; name the hosts that receive its mail"},
           {"a.example: {mx: [mx.a.example], until: never}",
            "line 1: a.example.until: \"never\" is no date; write for example 2026-12-31 (to the "
            "end of that day, UTC) or 2026-12-31T12:00:00Z"},
           {"a.example: {mx: [mx.a.example], reason: x}",
            "line 1: a.example.reason: is no setting; known here: mx, until"},
           {"- a.example", "line 1: must hold \"key: value\" lines"}}) {
    CAPTURE(row.yaml);
    CHECK(texts(conf::parse_preload(row.yaml)) == row.text);
  }
}

}  // namespace
