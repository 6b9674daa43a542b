// One verdict per (policy domain, MX host, message): every input alone and composed.
#include "relay/delivery/tls_policy.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/delivery/walk.h"

namespace relay::delivery {
namespace {

using smtp::TlsRequirement;
using spool::MessageTls;
using State = HostDane::State;

constexpr std::string_view kHost = "mx1.example.net";

HostDane dane(State state) {
  HostDane result;
  result.state = state;
  result.base_domain = kHost;
  if (state == State::usable) {
    result.expectation = std::make_shared<const net::DaneExpectation>(
        net::DaneExpectation{{{3, 1, 1, std::string(32, 'a')}}, {name("mx1.example.net")}});
  }
  return result;
}

std::shared_ptr<LocalRule> rule(LocalLevel level,
                                LocalRule::Purpose purpose = LocalRule::Purpose::rule) {
  auto made = std::make_shared<LocalRule>();
  made->level = level;
  made->purpose = purpose;
  made->origin = "tls_policy.domains.example.net";
  return made;
}

std::string word(const HostDecision& decision) {
  return decision.requirement ? std::string(decision.requirement->name())
                              : "refused: " + std::string(name(decision.refusal));
}

TEST_CASE("MTA-STS and DANE composed, per host (RFC 7672 section 2.2, RFC 8461 section 2)") {
  struct Row {
    const char* what;
    const char* sts;  // mode, or "" for none; "!": the host is not listed
    MxOrigin mx;
    std::optional<State> dane;
    const char* expected;
  };
  const auto secure = MxOrigin::secure;
  const auto insecure = MxOrigin::insecure;
  for (const Row& row : std::vector<Row>{
           {"nothing", "", insecure, std::nullopt, "opportunistic"},
           {"testing", "testing", insecure, std::nullopt, "opportunistic"},
           {"A07 none", "none", insecure, std::nullopt, "opportunistic"},
           {"enforce", "enforce", insecure, std::nullopt, "verified"},
           {"enforce, not listed", "enforce!", insecure, std::nullopt, "refused: mx-not-in-policy"},
           {"D01 usable TLSA, secure MX, enforce", "enforce", secure, State::usable, "dane"},
           {"not listed, but DANE vouches", "enforce!", secure, State::usable, "dane"},
           {"not listed, no TLSA", "enforce!", secure, State::absent, "refused: mx-not-in-policy"},
           {"D03 TLSA lookup failed, enforce", "enforce", secure, State::lookup_failed,
            "refused: tlsa-lookup-failed"},
           {"TLSA lookup failed, no policy", "", secure, State::lookup_failed,
            "refused: tlsa-lookup-failed"},
           {"D04 secure denial", "enforce", secure, State::absent, "verified"},
           {"secure denial, no policy", "", secure, State::absent, "opportunistic"},
           {"D05 insecure MX, usable TLSA, enforce", "enforce", insecure, State::usable,
            "verified+dane"},
           {"D06 insecure MX, forged host without TLSA", "enforce!", insecure, State::absent,
            "refused: mx-not-in-policy"},
           {"insecure MX, usable TLSA, not listed", "enforce!", insecure, State::usable,
            "refused: mx-not-in-policy"},
           {"insecure MX, usable TLSA, no policy", "", insecure, State::usable, "dane"},
           {"unusable TLSA, no policy", "", secure, State::unusable, "encrypted"},
           {"unusable TLSA, enforce", "enforce", secure, State::unusable, "verified"},
           {"D09 usable TLSA, testing", "testing", secure, State::usable, "dane"},
       }) {
    CAPTURE(row.what);
    const std::string_view sts = row.sts;
    const bool listed = !sts.ends_with('!');
    const auto in_force = sts.empty() ? nullptr
                                      : policy(sts.substr(0, sts.size() - (listed ? 0 : 1)),
                                               listed ? "*.example.net" : "other.example");
    TlsInputs inputs;
    inputs.policy = in_force.get();
    inputs.mx = row.mx;
    const auto found = row.dane ? std::optional(dane(*row.dane)) : std::nullopt;
    CHECK(word(decide(inputs, found ? &*found : nullptr, kHost)) == row.expected);
  }
}

TEST_CASE("D07: one host by DANE, the next by MTA-STS") {
  const auto in_force = policy("enforce", "*.example.net");
  TlsInputs inputs;
  inputs.policy = in_force.get();
  inputs.mx = MxOrigin::secure;
  const HostDane usable = dane(State::usable);
  const HostDane absent = dane(State::absent);
  CHECK(word(decide(inputs, &usable, "mx1.example.net")) == "dane");
  CHECK(word(decide(inputs, &absent, "mx2.example.net")) == "verified");
}

TEST_CASE("D01: both may be demanded by choice") {
  const auto in_force = policy("enforce", "*.example.net");
  TlsInputs inputs;
  inputs.policy = in_force.get();
  inputs.mx = MxOrigin::secure;
  inputs.composition = Composition::both;
  const HostDane usable = dane(State::usable);
  CHECK(word(decide(inputs, &usable, kHost)) == "verified+dane");
}

TEST_CASE("the operator's level is a floor under every policy") {
  struct Row {
    LocalLevel level;
    const char* sts;
    std::optional<State> dane;
    const char* expected;
  };
  for (const Row& row : std::vector<Row>{
           {LocalLevel::none, "", std::nullopt, "plaintext"},
           {LocalLevel::none, "enforce", std::nullopt, "verified"},
           {LocalLevel::none, "", State::usable, "dane"},
           {LocalLevel::opportunistic, "enforce", std::nullopt, "verified"},
           {LocalLevel::encrypt, "", std::nullopt, "encrypted"},
           {LocalLevel::encrypt, "enforce", std::nullopt, "verified"},
           {LocalLevel::verify, "", std::nullopt, "verified"},
           {LocalLevel::verify, "testing", std::nullopt, "verified"},  // A06
           {LocalLevel::verify, "", State::usable, "dane"},
           {LocalLevel::dane, "", State::absent, "opportunistic"},
           {LocalLevel::dane, "", State::usable, "dane"},
           {LocalLevel::dane_only, "", State::absent, "refused: dane-required"},
           {LocalLevel::dane_only, "", State::unusable, "refused: dane-required"},
           {LocalLevel::dane_only, "enforce", State::usable, "dane"},
           {LocalLevel::fingerprint, "", std::nullopt, "fingerprint"},
           {LocalLevel::fingerprint, "enforce", std::nullopt, "verified+fingerprint"},
       }) {
    CAPTURE(static_cast<int>(row.level));
    CAPTURE(row.sts);
    const std::string_view sts = row.sts;
    const auto in_force = sts.empty() ? nullptr : policy(sts, "*.example.net");
    TlsInputs inputs;
    inputs.policy = in_force.get();
    inputs.mx = MxOrigin::secure;
    auto local = rule(row.level);
    local->fingerprints = {"ab"};
    inputs.rule = local;
    const auto found = row.dane ? std::optional(dane(*row.dane)) : std::nullopt;
    CHECK(word(decide(inputs, found ? &*found : nullptr, kHost)) == row.expected);
  }
}

TEST_CASE("dane-only: TLSA records of a host whose name could be forged do not count") {
  TlsInputs inputs;
  inputs.rule = rule(LocalLevel::dane_only);
  const auto usable = dane(State::usable);
  for (const auto& [origin, expected] : {std::pair{MxOrigin::secure, "dane"},
                                         {MxOrigin::route, "dane"},
                                         {MxOrigin::insecure, "refused: dane-required"}}) {
    inputs.mx = origin;
    const HostDecision decision = decide(inputs, &usable, kHost);
    CHECK(word(decision) == expected);
    const bool says_why =
        explain(decision, inputs, kHost).find("RFC 7672 section 2.2.1") != std::string::npos;
    CHECK(says_why == (origin == MxOrigin::insecure));
  }
}

TEST_CASE("a pin admits its hosts only, verified, and forged DNS cannot make that permanent") {
  auto pin = rule(LocalLevel::verify, LocalRule::Purpose::pin);
  pin->mx = {sts::MxPattern::parse("*.example.net").value()};
  TlsInputs inputs;
  inputs.rule = pin;
  CHECK(word(decide(inputs, nullptr, kHost)) == "verified");
  CHECK(word(decide(inputs, nullptr, "mx.other.example")) == "refused: mx-not-pinned");
  CHECK(failures_stay_temporary(inputs));
}

TEST_CASE("A27: an exemption takes every policy out of force and says so") {
  const auto in_force = policy("enforce", "other.example");
  TlsInputs inputs;
  inputs.policy = in_force.get();
  auto exemption = rule(LocalLevel::opportunistic, LocalRule::Purpose::exemption);
  exemption->reason = "ticket 123";
  inputs.rule = exemption;
  const HostDecision decision = decide(inputs, nullptr, kHost);
  CHECK(word(decision) == "opportunistic");
  CHECK(explain(decision, inputs, kHost).find("ticket 123") != std::string::npos);
  CHECK_FALSE(failures_stay_temporary(inputs));
}

TEST_CASE("report-only: nothing is refused, what would be is known") {
  const auto in_force = policy("enforce", "*.example.net");
  TlsInputs inputs;
  inputs.policy = in_force.get();
  auto watching = rule(LocalLevel::opportunistic);
  watching->effect = LocalRule::Effect::report_only;
  inputs.rule = watching;

  HostDecision decision = decide(inputs, nullptr, "mx.other.example");
  CHECK(word(decision) == "opportunistic");
  CHECK(decision.refusal_unenforced == Refusal::mx_not_in_policy);
  CHECK(would_refuse(decision, nullptr));

  decision = decide(inputs, nullptr, kHost);
  const net::TlsOutcome good = verified();
  const net::TlsOutcome bad = expired();
  CHECK_FALSE(would_refuse(decision, &good));
  CHECK(would_refuse(decision, &bad));
}

TEST_CASE("REQUIRETLS needs somebody to vouch for the MX name (RFC 8689 section 4.2.1)") {
  struct Row {
    const char* what;
    const char* sts;
    MxOrigin mx;
    std::optional<State> dane;
    const char* expected;
  };
  for (const Row& row : std::vector<Row>{
           {"R04 enforce", "enforce", MxOrigin::insecure, std::nullopt, "verified"},
           {"testing is not enough", "testing", MxOrigin::insecure, std::nullopt,
            "refused: requiretls-mx-not-trusted"},
           {"R05 nothing", "", MxOrigin::insecure, std::nullopt,
            "refused: requiretls-mx-not-trusted"},
           {"secure MX", "", MxOrigin::secure, State::absent, "verified"},
           {"secure MX, DANE", "", MxOrigin::secure, State::usable, "dane"},
           {"secure MX, unusable TLSA", "", MxOrigin::secure, State::unusable, "verified"},
           {"insecure MX, DANE", "", MxOrigin::insecure, State::usable,
            "refused: requiretls-mx-not-trusted"},
           {"named by a route", "", MxOrigin::route, std::nullopt, "verified"},
       }) {
    CAPTURE(row.what);
    const std::string_view sts = row.sts;
    const auto in_force = sts.empty() ? nullptr : policy(sts, "*.example.net");
    TlsInputs inputs;
    inputs.policy = in_force.get();
    inputs.mx = row.mx;
    inputs.message = MessageTls::required;
    const auto found = row.dane ? std::optional(dane(*row.dane)) : std::nullopt;
    CHECK(word(decide(inputs, found ? &*found : nullptr, kHost)) == row.expected);
  }
}

TEST_CASE("R01, R08: TLS-Required: No tries TLS and demands nothing") {
  const auto in_force = policy("enforce", "other.example");
  TlsInputs inputs;
  inputs.policy = in_force.get();
  inputs.message = MessageTls::optional;
  inputs.rule = rule(LocalLevel::verify);
  const HostDane failed = dane(State::lookup_failed);
  CHECK(word(decide(inputs, nullptr, kHost)) == "opportunistic");
  CHECK(word(decide(inputs, &failed, kHost)) == "opportunistic");
}

TEST_CASE("the explanation names each input, its rule and the result") {
  const auto in_force = policy("enforce", "*.example.net");
  TlsInputs inputs;
  inputs.policy = in_force.get();
  inputs.mx = MxOrigin::secure;
  inputs.rule = rule(LocalLevel::encrypt);
  const HostDane usable = dane(State::usable);
  const std::string text = explain(decide(inputs, &usable, kHost), inputs, kHost);
  for (const char* part : {"TLSA records (RFC 7672 section 2.2)", "MTA-STS policy of example.net",
                           "mode enforce, id 1", "DANE decides (RFC 8461 section 2)",
                           "tls_policy.domains.example.net demands TLS"}) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  }
  CHECK(explain(decide({}, nullptr, kHost), {}, kHost) ==
        "no TLS policy: TLS is used if offered, with any certificate");
}

}  // namespace
}  // namespace relay::delivery
