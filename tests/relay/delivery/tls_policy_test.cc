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
           {"D04 secure denial", "enforce", secure, State::denied, "verified"},
           {"secure denial, no policy", "", secure, State::denied, "opportunistic"},
           {"no secure records, no policy", "", secure, State::absent, "opportunistic"},
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
  exemption->until = std::chrono::sys_days(std::chrono::year(2030) / 3 / 1) + std::chrono::hours(9);
  const HostDecision decision = decide(inputs, nullptr, kHost);
  CHECK(word(decision) == "opportunistic");
  CHECK(explain(decision, inputs, kHost) ==
        "the rule tls_policy.domains.example.net (ticket 123) exempts the domain from every TLS "
        "policy until 2030-03-01T09:00:00Z; MTA-STS policy of example.net (mode enforce, id 1) is "
        "suspended by that");
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

TEST_CASE("a preloaded pin yields to the domain's own policy, whatever that demands") {
  auto pin = rule(LocalLevel::verify, LocalRule::Purpose::pin);
  pin->origin = "preload";
  pin->mx = {sts::MxPattern::parse("*.example.net").value()};
  pin->after_first_contact = rule(LocalLevel::encrypt);
  TlsInputs inputs;
  inputs.rule = pin;
  CHECK(word(decide(inputs, nullptr, "mx.other.example")) == "refused: mx-not-pinned");
  CHECK(failures_stay_temporary(inputs));
  const auto own = policy("testing", "*.example.net");
  inputs.policy = own.get();
  const HostDecision decision = decide(inputs, nullptr, "mx.other.example");
  CHECK(word(decision) == "encrypted");
  CHECK(explain(decision, inputs, "mx.other.example")
            .starts_with("the preloaded MX hosts give way to the domain's own policy; "));
  CHECK_FALSE(failures_stay_temporary(inputs));
  CHECK(rule_in_force(pin, own.get()) == pin->after_first_contact);
  CHECK(rule_in_force(pin, nullptr) == pin);
}

TEST_CASE("what a message demands depends on what it is (RFC 8689 section 5, RFC 8460 section 3)") {
  struct Row {
    MessageKind kind;
    MessageTls said;
    MessageTls demanded;
    const char* explained;
  };
  for (const Row& row : std::vector<Row>{
           {MessageKind::mail, MessageTls::required, MessageTls::required, "neither DNSSEC nor"},
           {MessageKind::mail, MessageTls::optional, MessageTls::optional, "TLS-Required: No"},
           {MessageKind::mail, MessageTls::normal, MessageTls::normal, "TLS is used if offered"},
           {MessageKind::bounce, MessageTls::required, MessageTls::normal, "RFC 8689 section 5"},
           {MessageKind::bounce, MessageTls::normal, MessageTls::normal, "TLS is used if offered"},
           {MessageKind::tls_report, MessageTls::normal, MessageTls::optional,
            "RFC 8460 section 3"},
       }) {
    TlsInputs inputs;
    inputs.kind = row.kind;
    inputs.message = row.said;
    CHECK(demanded(inputs) == row.demanded);
    CHECK(policy_matters(inputs) == (row.demanded != MessageTls::optional));
    const std::string text = explain(decide(inputs, nullptr, kHost), inputs, kHost);
    CAPTURE(text);
    CHECK(text.find(row.explained) != std::string::npos);
  }
}

TEST_CASE("a message is a report by its origin and a bounce by its null sender") {
  spool::Envelope envelope;
  CHECK(kind_of(envelope) == MessageKind::bounce);
  envelope.sender = "a@example.org";
  CHECK(kind_of(envelope) == MessageKind::mail);
  envelope.origin = spool::Origin::report;
  CHECK(kind_of(envelope) == MessageKind::tls_report);
}

TEST_CASE("REQUIRETLS goes along in a bounce too, to servers that prove their name only") {
  spool::Envelope envelope;
  CHECK_FALSE(passes_on_requiretls(envelope, TlsRequirement::verified()));
  envelope.tls = MessageTls::required;
  CHECK(passes_on_requiretls(envelope, TlsRequirement::verified()));
  CHECK_FALSE(passes_on_requiretls(envelope, TlsRequirement::encrypted()));
}

TEST_CASE("SNI: the TLSA base domain where DANE decides, the MX host's name where MTA-STS does") {
  HostDane aliased = dane(State::usable);
  aliased.base_domain = "mail.provider.example";
  aliased.expectation = std::make_shared<const net::DaneExpectation>(net::DaneExpectation{
      {{3, 1, 1, std::string(32, 'a')}}, {name("mail.provider.example"), name(kHost)}});
  const auto in_force = policy("enforce", "*.example.net");
  TlsInputs inputs;
  inputs.policy = in_force.get();
  const auto sni = [&](MxOrigin mx, const HostDane* found) {
    inputs.mx = mx;
    return decide(inputs, found, kHost).requirement.value().sni(name(kHost)).value().text();
  };
  CHECK(sni(MxOrigin::secure, &aliased) == "mail.provider.example");  // RFC 7672 §8.1
  CHECK(sni(MxOrigin::insecure, &aliased) == kHost);                  // both: RFC 8461 §7.1
  CHECK(sni(MxOrigin::secure, nullptr) == kHost);
  inputs.policy = nullptr;
  CHECK(sni(MxOrigin::insecure, &aliased) == "mail.provider.example");
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
  const HostDane denied = dane(State::denied);
  CHECK(
      explain(decide({}, &denied, kHost), {}, kHost) ==
      "DANE: mx1.example.net has no TLSA records, as DNSSEC proves (RFC 7672 section 2.2); no TLS "
      "policy: TLS is used if offered, with any certificate");
  CHECK(explain(decide(inputs, &denied, kHost), inputs, kHost)
            .starts_with("DANE: mx1.example.net has no TLSA records"));
  CHECK(explain(decide({}, nullptr, kHost), {}, kHost) ==
        "no TLS policy: TLS is used if offered, with any certificate");
}

}  // namespace
}  // namespace relay::delivery
