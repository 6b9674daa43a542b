#include "relay/delivery/local_rules.h"

#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conf/config.h"
#include "relay/delivery/would_refuse.h"
#include "tests/support/manual_clock.h"

namespace {

using relay::delivery::highest;
using relay::delivery::LocalLevel;
using relay::delivery::LocalRule;
using relay::delivery::LocalRules;
using relay::delivery::WouldRefuse;
using relay::spool::PolicyOverride;
using std::chrono::hours;
using Purpose = LocalRule::Purpose;

// The clock stands on 2024-07-01.
const char* const kConfiguration = R"(
  default: encrypt
  domains:
    a.example: {level: verify, until: 2024-07-31}
    "*.a.example": {level: dane}
    "*.b.a.example": {level: none, until: 2024-07-15, reason: "ticket 1"}
    c.b.a.example: {level: dane-only, until: 2024-07-10}
    pin.example: {mx: ["*.pin.example"], reason: contract}
    try.example: {level: verify, report_only: true}
    over.example: {level: opportunistic, until: 2024-06-30, reason: "ticket 2"}
)";
const char* const kPreload = R"(
pre.example: [mx.pre.example]
ending.example: {mx: [mx.ending.example], until: 2024-07-02}
pin.example: [other.example]
over.example: [mx.over.example]
)";

conf::TlsPolicy configured(const std::string& text) {
  const auto config = conf::parse("tls_policy:" + text);
  REQUIRE(config);
  return config->tls_policy;
}

conf::Preload preloaded(const std::string& text) {
  const auto preload = conf::parse_preload(text);
  REQUIRE(preload);
  return *preload;
}

PolicyOverride override_of(const std::string& domain, const std::string& level) {
  PolicyOverride rule;
  rule.domain = domain;
  rule.level = level;
  return rule;
}

LocalRules rules(const std::vector<PolicyOverride>& overrides = {}) {
  const conf::TlsPolicy policy = configured(kConfiguration);
  const conf::Preload preload = preloaded(kPreload);
  return LocalRules({policy, preload, overrides});
}

std::string origin(const LocalRules& all, const char* domain, relay::net::WallTime now) {
  return all.find(domain, now)->origin;
}

TEST_CASE("without rules, everything is opportunistic and enforced") {
  const LocalRules none;
  const support::ManualClock clock;
  const auto rule = none.find("a.example", clock.wall());
  CHECK(rule->level == LocalLevel::opportunistic);
  CHECK(rule->purpose == Purpose::default_level);
  CHECK(rule->effect == LocalRule::Effect::enforced);
  CHECK(none.size() == 0);
  CHECK_FALSE(none.next_end(clock.wall()));
}

TEST_CASE(
    "command before configuration, exact before wildcard, the closest first, preload, default") {
  auto ends = override_of("d.example", "none");
  const support::ManualClock clock;
  ends.until = clock.wall() + hours(1);
  ends.reason = "x";
  const LocalRules all =
      rules({override_of("*.pin.example", "encrypt"), ends, override_of("a.example", "dane-only")});
  struct Row {
    const char* domain;
    const char* origin;
    LocalLevel level;
    Purpose purpose;
  };
  for (const Row& row : std::vector<Row>{
           {"a.example", "override", LocalLevel::dane_only, Purpose::rule},
           {"x.a.example", "tls_policy.domains.*.a.example", LocalLevel::dane, Purpose::rule},
           {"y.x.a.example", "tls_policy.domains.*.a.example", LocalLevel::dane, Purpose::rule},
           {"b.a.example", "tls_policy.domains.*.a.example", LocalLevel::dane, Purpose::rule},
           {"x.b.a.example", "tls_policy.domains.*.b.a.example", LocalLevel::none,
            Purpose::exemption},
           {"c.b.a.example", "tls_policy.domains.c.b.a.example", LocalLevel::dane_only,
            Purpose::rule},
           {"xa.example", "tls_policy.default", LocalLevel::encrypt, Purpose::default_level},
           {"pin.example", "tls_policy.domains.pin.example", LocalLevel::verify, Purpose::pin},
           {"x.pin.example", "override", LocalLevel::encrypt, Purpose::rule},
           {"d.example", "override", LocalLevel::none, Purpose::exemption},
           {"pre.example", "preload", LocalLevel::verify, Purpose::pin},
           {"x.pre.example", "tls_policy.default", LocalLevel::encrypt, Purpose::default_level},
           {"over.example", "preload", LocalLevel::verify, Purpose::pin},
           {"example", "tls_policy.default", LocalLevel::encrypt, Purpose::default_level},
           {"", "tls_policy.default", LocalLevel::encrypt, Purpose::default_level}}) {
    CAPTURE(row.domain);
    const auto rule = all.find(row.domain, clock.wall());
    REQUIRE(rule != nullptr);
    CHECK(rule->origin == row.origin);
    CHECK(rule->level == row.level);
    CHECK(rule->purpose == row.purpose);
  }
  CHECK(all.find(relay::net::DomainName::parse("x.b.a.example").value(), clock.wall())->level ==
        LocalLevel::none);
  CHECK(all.find(std::nullopt, clock.wall())->origin == "tls_policy.default");
}

TEST_CASE("a rule past its end gives way to the next one, to the millisecond") {
  support::ManualClock clock;
  auto ends = override_of("c.b.a.example", "verify");
  ends.until = clock.wall() + hours(5);
  const LocalRules all = rules({ends});
  CHECK(all.next_end(clock.wall()) == *ends.until);
  clock.advance(hours(5) - std::chrono::milliseconds(1));
  CHECK(origin(all, "c.b.a.example", clock.wall()) == "override");
  clock.advance(std::chrono::milliseconds(1));
  CHECK(origin(all, "c.b.a.example", clock.wall()) == "tls_policy.domains.c.b.a.example");
  clock.advance(hours(24 * 2));
  CHECK(origin(all, "ending.example", clock.wall()) == "tls_policy.default");
  clock.advance(hours(24 * 8));
  CHECK(origin(all, "c.b.a.example", clock.wall()) == "tls_policy.domains.*.b.a.example");
  clock.advance(hours(24 * 5));
  CHECK(origin(all, "c.b.a.example", clock.wall()) == "tls_policy.domains.*.a.example");
  CHECK(origin(all, "a.example", clock.wall()) == "tls_policy.domains.a.example");
  clock.advance(hours(24 * 30));
  CHECK(origin(all, "a.example", clock.wall()) == "tls_policy.default");
  CHECK_FALSE(all.next_end(clock.wall()));
}

TEST_CASE("rules carry what was written") {
  const support::ManualClock clock;
  auto set = override_of("e.example", "fingerprint");
  set.mx = {"mx.e.example"};
  set.fingerprints = {std::string(64, 'a')};
  set.reason = "theirs is self-signed";
  set.effect = PolicyOverride::Effect::report_only;
  const LocalRules all = rules({set});
  const auto rule = all.find("e.example", clock.wall());
  CHECK(rule->purpose == Purpose::pin);
  CHECK(rule->level == LocalLevel::fingerprint);
  CHECK(rule->fingerprints == set.fingerprints);
  REQUIRE(rule->mx.size() == 1);
  CHECK(rule->mx[0].matches("mx.e.example"));
  CHECK(rule->reason == "theirs is self-signed");
  CHECK(rule->effect == LocalRule::Effect::report_only);
  CHECK(all.find("try.example", clock.wall())->effect == LocalRule::Effect::report_only);
  CHECK(all.find("pin.example", clock.wall())->effect == LocalRule::Effect::enforced);
  CHECK(all.find("pin.example", clock.wall())->mx.at(0).matches("mx1.pin.example"));
  CHECK(all.size() == 8);
  CHECK(all.preloaded() == 4);
}

TEST_CASE("a preloaded pin names what counts once a policy of the domain is known") {
  const support::ManualClock clock;
  const LocalRules all = rules();
  const auto pin = all.find("pre.example", clock.wall());
  REQUIRE(pin->after_first_contact != nullptr);
  CHECK(pin->after_first_contact->origin == "tls_policy.default");
  CHECK(pin->after_first_contact->level == LocalLevel::encrypt);
  CHECK(all.find("pin.example", clock.wall())->after_first_contact == nullptr);
}

TEST_CASE("report-only for everything holds for each rule, the default and what commands set") {
  conf::TlsPolicy policy = configured(kConfiguration);
  policy.report_only = true;
  const conf::Preload preload = preloaded(kPreload);
  const std::vector overrides{override_of("d.example", "verify")};
  const LocalRules all({policy, preload, overrides});
  const support::ManualClock clock;
  for (const char* domain : {"a.example", "d.example", "pre.example", "other.example"}) {
    CAPTURE(domain);
    CHECK(all.find(domain, clock.wall())->effect == LocalRule::Effect::report_only);
  }
}

TEST_CASE("exemptions are listed while they count, and for a while after their end") {
  support::ManualClock clock;
  const LocalRules all = rules({override_of("*.b.a.example", "verify")});
  const auto domains = [](const std::vector<LocalRules::Listed>& listed) {
    std::vector<std::string> names;
    for (const auto& [domain, rule] : listed) {
      names.push_back(domain);
    }
    return names;
  };
  using Names = std::vector<std::string>;
  CHECK(domains(rules().exemptions(clock.wall())) == Names{"*.b.a.example", "try.example"});
  // A command put another in the place of the first.
  CHECK(domains(all.exemptions(clock.wall())) == Names{"try.example"});
  CHECK(domains(rules().ended(clock.wall() - hours(1), clock.wall())) == Names{"over.example"});
  CHECK(domains(rules().ended(clock.wall(), clock.wall())).empty());
  clock.advance(hours(24 * 15));
  CHECK(domains(rules().exemptions(clock.wall())) == Names{"try.example"});
  CHECK(domains(rules().ended(clock.wall() - hours(24 * 7), clock.wall())) ==
        Names{"*.b.a.example", "c.b.a.example"});
}

TEST_CASE("what was never checked is refused rather than weakened") {
  auto bad_level = override_of("a.example", "strict");
  auto bad_host = override_of("a.example", "verify");
  bad_host.mx = {"mx.*.example"};
  CHECK_THROWS_AS(rules({bad_level}), std::invalid_argument);
  CHECK_THROWS_AS(rules({bad_host}), std::invalid_argument);
}

TEST_CASE("every MX pattern that the configuration takes is one of MTA-STS, and so are its names") {
  for (const char* text : {"mx.example.com",
                           "*.example.com",
                           "MX.example.com",
                           "mx_1.example.com",
                           "example",
                           "*",
                           "*.com",
                           "mx.*.com",
                           "192.0.2.1",
                           "1.2.3",
                           "mx.123",
                           "a-.example",
                           "-a.example",
                           "",
                           "*.",
                           "a..b",
                           "mx.example.com.",
                           "*.*.example.com",
                           "xn--bcher-kva.example",
                           "b\xc3\xbc"}) {
    CAPTURE(text);
    const auto pattern = conf::parse_mx_pattern(text);
    CHECK((!pattern || sts::MxPattern::parse(*pattern)));
  }
  CHECK(conf::parse_mx_pattern("*.Example.com") == "*.example.com");
  CHECK_FALSE(conf::parse_mx_pattern("mx.123"));
}

TEST_CASE("a rule that is report-only is listed as an exemption, unless everything is") {
  conf::TlsPolicy policy;
  conf::TlsRule watching;
  watching.level = conf::TlsLevel::verify;
  watching.report_only = true;
  policy.domains["d.example"] = watching;
  const relay::net::WallTime now{};
  CHECK(LocalRules({policy, {}, {}}).exemptions(now).size() == 1);
  policy.report_only = true;
  CHECK(LocalRules({policy, {}, {}}).exemptions(now).empty());
}

TEST_CASE("would-refuse counts are kept by domain, up to a number of domains") {
  WouldRefuse counts(2);
  for (const char* domain :
       {"b.example", "a.example", "c.example", "b.example", "d.example", "b.example"}) {
    counts.count(domain);
  }
  using Counts = std::vector<WouldRefuse::Count>;
  CHECK(counts.top(9) == Counts{{"b.example", 3}, {"", 2}, {"a.example", 1}});
  CHECK(counts.top(1) == Counts{{"b.example", 3}});
  CHECK(highest({{"a.example", 2}, {"b.example", 3}, {"a.example", 2}, {"c.example", 3}}, 2) ==
        Counts{{"a.example", 4}, {"b.example", 3}});
}

}  // namespace
