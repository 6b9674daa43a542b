// What DANE, REQUIRETLS and local rules make of the walk over hosts.
#include <doctest/doctest.h>

#include "relay/delivery/attempt.h"
#include "tests/relay/delivery/walk.h"

namespace relay::delivery {
namespace {

using net::DnssecState;
using Result = RecipientOutcome::Result;

net::DnsResult secure_address() {
  net::DnsAnswer answer;
  answer.records = std::vector<std::string>{"203.0.113.5"};
  answer.dnssec = DnssecState::secure;
  return answer;
}

net::DnsResult tlsa() {
  net::DnsAnswer answer;
  answer.records = std::vector<net::DnsTlsa>{{3, 1, 1, std::string(32, 'a')}};
  answer.dnssec = DnssecState::secure;
  return answer;
}

const net::DnsResult kNoTlsa = net::DnsNoRecord{true, {}, DnssecState::secure};

net::TlsOutcome with_dane(net::TlsOutcome outcome, net::DaneMatch match) {
  if (auto* good = std::get_if<net::TlsVerified>(&outcome)) {
    good->parameters.dane = match;
  } else {
    std::get<net::TlsUnverified>(outcome).parameters.dane = match;
  }
  return outcome;
}

/// Answers for one host, from its addresses to the conversation or the next host.
Step host_answers(Walk& walk, Step step, const net::DnsResult& records) {
  REQUIRE(std::holds_alternative<FindAddresses>(step));
  step = walk.attempt.on_addresses(secure_address(), kNoData, kNow);
  REQUIRE(std::holds_alternative<FindTlsa>(step));
  return walk.attempt.on_tlsa(records, kNow);
}

Step secure_mx(Walk& walk, std::vector<net::DnsMx> hosts, const sts::PolicyVerdict& in_force) {
  REQUIRE(std::holds_alternative<FindMx>(walk.attempt.start(kNow)));
  Step step = walk.attempt.on_mx(mx(std::move(hosts), DnssecState::secure), kNow);
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  return walk.attempt.on_policy(in_force, kNow);
}

std::shared_ptr<const spool::Envelope> message(spool::MessageTls tls) {
  auto made = std::make_shared<spool::Envelope>(*envelope());
  made->tls = tls;
  return made;
}

TEST_CASE("D01: DANE decides although the chain proves nothing, and both results are reported") {
  Walk walk;
  Step step =
      secure_mx(walk, {{10, "mx1.example.net"}}, verdict(policy("enforce", "*.example.net")));
  step = host_answers(walk, std::move(step), tlsa());
  REQUIRE(host_of(step) == "mx1.example.net");
  CHECK(std::get<Converse>(step).requirement.name() == "dane");
  step =
      walk.attempt.on_conversation(delivered(with_dane(expired(), net::DaneMatch::matched)), kNow);
  CHECK(only(step).result == Result::delivered);
  const auto& sessions = std::get<Finished>(step).sessions;
  REQUIRE(sessions.size() == 1);
  REQUIRE(sessions[0].policies.size() == 2);
  CHECK(sessions[0].policies[0].policy.type == rpt::PolicyType::tlsa);
  CHECK(sessions[0].policies[0].failures.empty());
  CHECK(sessions[0].policies[1].policy.type == rpt::PolicyType::sts);
  CHECK(sessions[0].policies[1].failures[0].type == rpt::ResultType::certificate_expired);
}

TEST_CASE("D03: a failed TLSA lookup rules the host out and the next one is tried") {
  Walk walk;
  Step step = secure_mx(walk, {{10, "mx1.example.net"}, {20, "mx2.example.net"}},
                        verdict(policy("enforce", "*.example.net")));
  step = host_answers(walk, std::move(step), net::DnsFailure{"SERVFAIL"});
  step = host_answers(walk, std::move(step), kNoTlsa);
  REQUIRE(host_of(step) == "mx2.example.net");
  CHECK(std::get<Converse>(step).requirement.name() == "verified");
  step = walk.attempt.on_conversation(delivered(), kNow);
  const auto& sessions = std::get<Finished>(step).sessions;
  REQUIRE(sessions.size() == 2);
  CHECK(failure_type(sessions[0]) == rpt::ResultType::dnssec_invalid);
}

TEST_CASE("a certificate that matches no TLSA record is a failure under DANE, and temporary") {
  Walk walk;
  Step step = secure_mx(walk, {{10, "mx1.example.net"}}, verdict(nullptr));
  step = host_answers(walk, std::move(step), tlsa());
  step = walk.attempt.on_conversation(
      ended(smtp::SessionEnd::Kind::tls_requirement, smtp::Stage::tls_handshake,
            with_dane(verified(), net::DaneMatch::no_match)),
      kNow);
  CHECK(only(step).result == Result::deferred);
  CHECK(only(step).status == "4.7.5");
  CHECK(only(step).text.find("dane-no-match") != std::string::npos);
  CHECK(failure_type(std::get<Finished>(step).sessions.at(0)) ==
        rpt::ResultType::validation_failure);
}

TEST_CASE("secure MX: a host that the policy does not list is used if its TLSA records vouch") {
  Walk walk;
  Step step =
      secure_mx(walk, {{10, "mx1.example.net"}}, verdict(policy("enforce", "other.example")));
  step = host_answers(walk, std::move(step), tlsa());
  CHECK(host_of(step) == "mx1.example.net");

  Walk denied;
  step = secure_mx(denied, {{10, "mx1.example.net"}}, verdict(policy("enforce", "other.example")));
  step = host_answers(denied, std::move(step), kNoTlsa);
  CHECK(std::holds_alternative<FindPolicy>(step));  // not connected to: the last look instead
}

TEST_CASE("R05: REQUIRETLS without a trustworthy MX bounces with 5.7.10") {
  Walk walk(message(spool::MessageTls::required));
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  CHECK(std::get<FindPolicy>(step).freshness == Freshness::past_cache);
  step = walk.attempt.on_policy(verdict(nullptr), kNow);
  CHECK(only(step).result == Result::failed);
  CHECK(only(step).status == "5.7.10");
  CHECK(only(step).text.find("RFC 8689") != std::string::npos);
}

TEST_CASE("REQUIRETLS waits while nobody can say which policy would vouch for the host") {
  sts::PolicyVerdict unanswered = verdict(nullptr);
  unanswered.record_unknown = true;
  sts::PolicyVerdict unfetched = verdict(nullptr);
  unfetched.fault = {sts::DiscoveryFault::Kind::fetch_error, "http-500"};
  for (const sts::PolicyVerdict& unknown : {unanswered, unfetched}) {
    Walk walk(message(spool::MessageTls::required));
    Step step = walk.to_hosts(unknown, mx({{10, "mx1.example.net"}}));
    REQUIRE(std::holds_alternative<FindPolicy>(step));
    step = walk.attempt.on_policy(unknown, kNow);
    CHECK(only(step).result == Result::deferred);
    CHECK(only(step).status == "4.7.10");
  }
}

TEST_CASE("REQUIRETLS: a policy that was not in any cache vouches for the host after all") {
  Walk walk(message(spool::MessageTls::required));
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  step = walk.addresses(walk.attempt.on_policy(verdict(policy("enforce", "*.example.net")), kNow));
  CHECK(host_of(step) == "mx1.example.net");
}

TEST_CASE("R04: hosts without REQUIRETLS are passed over, then the message bounces with 5.7.30") {
  Walk walk(message(spool::MessageTls::required));
  Step step = walk.to_hosts(verdict(policy("enforce", "*.example.net")),
                            mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}));
  auto lacking = result(smtp::Disposition::unsuitable, smtp::Stage::mail, 250);
  lacking.reply.reset();
  lacking.enhanced_code = "5.7.30";
  lacking.detail = "the server does not announce REQUIRETLS";
  step = walk.report(transaction({lacking}));
  REQUIRE(host_of(step) == "mx2.example.net");
  step = walk.report(transaction({lacking}));
  CHECK(only(step).result == Result::failed);
  CHECK(only(step).status == "5.7.30");
}

TEST_CASE("REQUIRETLS: a host that cannot be reached keeps the message in the queue") {
  Walk walk(message(spool::MessageTls::required));
  Step step = walk.to_hosts(verdict(policy("enforce", "*.example.net")),
                            mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}));
  step = walk.report(ended(smtp::SessionEnd::Kind::tls_requirement, smtp::Stage::starttls,
                           net::TlsNotOffered{"not-advertised"}));
  step = walk.report(ConnectFailed{"Connection refused"});
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  step = walk.attempt.on_policy(verdict(policy("enforce", "*.example.net")), kNow);
  CHECK(only(step).result == Result::deferred);
}

TEST_CASE("R01: TLS-Required: No delivers although the policy would refuse the host") {
  Walk walk(message(spool::MessageTls::optional));
  Step step =
      walk.to_hosts(verdict(policy("enforce", "other.example")), mx({{10, "mx1.example.net"}}));
  REQUIRE(host_of(step) == "mx1.example.net");
  step = walk.report(delivered(expired()));
  CHECK(only(step).result == Result::delivered);
}

TEST_CASE("R08: a TLS report goes out although the policy would refuse the host") {
  Walk walk(envelope(1, spool::Origin::report));
  Step step =
      walk.to_hosts(verdict(policy("enforce", "other.example")), mx({{10, "mx1.example.net"}}));
  REQUIRE(host_of(step) == "mx1.example.net");
  step = walk.report(delivered(expired()));
  CHECK(only(step).result == Result::delivered);
  CHECK(std::get<Finished>(step).sessions.empty());
}

TEST_CASE("a bounce is not lost because REQUIRETLS is not to be had") {
  auto bounce = std::make_shared<spool::Envelope>(*message(spool::MessageTls::required));
  bounce->sender.clear();
  Walk walk(bounce);
  const Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  CHECK(host_of(step) == "mx1.example.net");
}

TEST_CASE("report-only: delivered, counted as would be refused, and noted") {
  AttemptSettings settings = Walk::settings();
  auto watching = std::make_shared<LocalRule>();
  watching->effect = LocalRule::Effect::report_only;
  watching->origin = "tls_policy.report_only";
  settings.rule = watching;
  Walk walk(std::move(settings), envelope());
  Step step =
      walk.to_hosts(verdict(policy("enforce", "*.example.net")), mx({{10, "mx1.example.net"}}));
  REQUIRE(host_of(step) == "mx1.example.net");
  step = walk.report(delivered(expired()));
  CHECK(only(step).result == Result::delivered);
  CHECK(std::get<Finished>(step).would_refuse == std::vector<std::string>{"example.net"});
  const auto notes = walk.attempt.take_notes();
  REQUIRE_FALSE(notes.empty());
  CHECK(notes.back().reason_code == "would-refuse");
}

TEST_CASE("report-only: a host that would not be used at all is counted once") {
  AttemptSettings settings = Walk::settings();
  auto watching = std::make_shared<LocalRule>();
  watching->effect = LocalRule::Effect::report_only;
  settings.rule = watching;
  Walk walk(std::move(settings), envelope());
  Step step =
      walk.to_hosts(verdict(policy("enforce", "other.example")), mx({{10, "mx1.example.net"}}));
  REQUIRE(host_of(step) == "mx1.example.net");
  step = walk.report(delivered(verified()));
  CHECK(std::get<Finished>(step).would_refuse == std::vector<std::string>{"example.net"});
}

TEST_CASE("dane-only rules out an address that a route names: it can have no TLSA records") {
  AttemptSettings settings = Walk::settings();
  auto strict = std::make_shared<LocalRule>();
  strict->level = LocalLevel::dane_only;
  settings.rule = strict;
  DeliveryAttempt attempt(std::move(settings),
                          NextHop{FixedAddress{*net::SocketAddress::from_ip("192.0.2.9", 25)}, 25,
                                  NextHop::Origin::route},
                          envelope());
  CHECK(only(attempt.start(kNow)).result == Result::deferred);
}

TEST_CASE("a certificate that is not listed is named so, whatever else is wrong with it") {
  AttemptSettings settings = Walk::settings();
  auto listed = std::make_shared<LocalRule>();
  listed->level = LocalLevel::fingerprint;
  listed->fingerprints = {"ab"};
  settings.rule = listed;
  Walk walk(std::move(settings), envelope());
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  step = walk.report(
      ended(smtp::SessionEnd::Kind::tls_requirement, smtp::Stage::tls_handshake, expired()));
  CHECK(only(step).result == Result::deferred);
  CHECK(only(step).text.find("is a listed one") != std::string::npos);
  CHECK(only(step).text.find("X509_V_ERR_CERT_HAS_EXPIRED") == std::string::npos);
}

TEST_CASE("a preloaded pin protects first contact and yields to the domain's own policy") {
  auto pin = std::make_shared<LocalRule>();
  pin->purpose = LocalRule::Purpose::pin;
  pin->level = LocalLevel::verify;
  pin->mx = {sts::MxPattern::parse("*.example.net").value()};
  pin->after_first_contact = std::make_shared<const LocalRule>();
  AttemptSettings settings = Walk::settings();
  settings.rule = pin;
  const net::DnsResult foreign = mx({{10, "mx.other.example"}});

  Walk first(settings, envelope());
  CHECK(only(first.to_hosts(verdict(nullptr), foreign)).result == Result::deferred);
  Walk known(settings, envelope());
  CHECK(host_of(known.to_hosts(verdict(policy("testing", "*.example.net")), foreign)) ==
        "mx.other.example");
}

AttemptSettings dane_only() {
  AttemptSettings settings = Walk::settings();
  auto strict = std::make_shared<LocalRule>();
  strict->level = LocalLevel::dane_only;
  settings.rule = strict;
  return settings;
}

TEST_CASE("dane-only: a host without TLSA records is passed over and reported as dane-required") {
  Walk walk(dane_only(), envelope());
  Step step = secure_mx(walk, {{10, "mx1.example.net"}}, verdict(nullptr));
  step = host_answers(walk, std::move(step), kNoTlsa);
  CHECK(only(step).result == Result::deferred);
  CHECK(failure_type(std::get<Finished>(step).sessions.at(0)) == rpt::ResultType::dane_required);
}

TEST_CASE("dane-only: a host named by insecure MX records is reported as dane-required, too") {
  Walk walk(dane_only(), envelope());
  const Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  CHECK(only(step).result == Result::deferred);
  const auto& sessions = std::get<Finished>(step).sessions;
  REQUIRE(sessions.size() == 1);
  CHECK(failure_type(sessions.at(0)) == rpt::ResultType::dane_required);
}

}  // namespace
}  // namespace relay::delivery
