// What an MTA-STS policy makes of the walk (RFC 8461 §5).
#include <doctest/doctest.h>

#include "relay/delivery/attempt.h"
#include "tests/relay/delivery/walk.h"

namespace relay::delivery {
namespace {

using Result = RecipientOutcome::Result;
using smtp::TlsRequirement;

TEST_CASE("without a policy a host is tried with opportunistic TLS and the outcome is recorded") {
  Walk walk;
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  REQUIRE(host_of(step) == "mx1.example.net");
  CHECK(std::get<Converse>(step).requirement == TlsRequirement::opportunistic());
  step = walk.report(delivered(expired()));
  CHECK(only(step).result == Result::delivered);
  const auto& sessions = std::get<Finished>(step).sessions;
  REQUIRE(sessions.size() == 1);
  CHECK(sessions[0].policies[0].policy.type == rpt::PolicyType::no_policy_found);
}

TEST_CASE("enforce: a host outside the mx patterns is never connected to") {
  Walk walk;
  Step step = walk.to_hosts(verdict(policy("enforce", "mx2.example.net")),
                            mx({{10, "evil.example"}, {20, "mx2.example.net"}}));
  REQUIRE(host_of(step) == "mx2.example.net");
  CHECK(std::get<Converse>(step).requirement == TlsRequirement::verified());
  step = walk.report(delivered());
  CHECK(only(step).result == Result::delivered);
  const auto& sessions = std::get<Finished>(step).sessions;
  REQUIRE(sessions.size() == 2);
  CHECK(failure_type(sessions[0]) == rpt::ResultType::validation_failure);
  CHECK(sessions[0].policies[0].failures[0].reason_code == "sts-mx-mismatch");
  CHECK(sessions[0].policies[0].failures[0].receiving_ip.empty());
  CHECK(sessions[1].policies[0].failures.empty());
}

TEST_CASE("enforce: a failing host is passed over for the next and never retried in plaintext") {
  for (const smtp::SessionEnd::Kind kind :
       {smtp::SessionEnd::Kind::tls_requirement, smtp::SessionEnd::Kind::tls_failed}) {
    Walk walk;
    Step step = walk.to_hosts(verdict(policy("enforce", "*.example.net")),
                              mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}));
    REQUIRE(host_of(step) == "mx1.example.net");
    step = walk.report(ended(kind, smtp::Stage::tls_handshake, expired()));
    REQUIRE(host_of(step) == "mx2.example.net");
    CHECK(std::get<Converse>(step).requirement == TlsRequirement::verified());
  }
}

TEST_CASE("enforce: failure of all hosts is temporary after one look for a newer policy") {
  Walk walk;
  Step step = walk.to_hosts(verdict(policy("enforce", "*.example.net")),
                            mx({{10, "mx1.example.net"}, {20, "evil.example"}}));
  step = walk.report(ended(smtp::SessionEnd::Kind::tls_requirement, smtp::Stage::starttls,
                           net::TlsNotOffered{"not-advertised"}));
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  CHECK(std::get<FindPolicy>(step).freshness == Freshness::past_cache);
  step = walk.attempt.on_policy(verdict(policy("enforce", "*.example.net")), kNow);
  CHECK(only(step).result == Result::deferred);
  CHECK(only(step).status == "4.7.5");
  CHECK(std::get<Finished>(step).sessions.size() == 2);
}

TEST_CASE("a newer policy found after failure is obeyed at once") {
  Walk walk;
  Step step =
      walk.to_hosts(verdict(policy("enforce", "old.example")), mx({{10, "mx1.example.net"}}));
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  step = walk.addresses(
      walk.attempt.on_policy(verdict(policy("enforce", "*.example.net", "2")), kNow));
  REQUIRE(host_of(step) == "mx1.example.net");
  CHECK(only(walk.report(delivered())).result == Result::delivered);
}

TEST_CASE("the second look for a policy is the last one of the attempt") {
  Walk walk;
  Step step =
      walk.to_hosts(verdict(policy("enforce", "old.example")), mx({{10, "mx1.example.net"}}));
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  step = walk.attempt.on_policy(verdict(policy("enforce", "other.example", "2")), kNow);
  CHECK(only(step).result == Result::deferred);
}

TEST_CASE("enforce: the implicit MX is covered by the policy too") {
  Walk walk;
  Step step = walk.to_hosts(verdict(policy("enforce", "mx1.example.net")), kNoData);
  CHECK(std::holds_alternative<FindPolicy>(step));  // example.net itself is not listed
  step = walk.attempt.on_policy(verdict(policy("enforce", "mx1.example.net")), kNow);
  CHECK(only(step).status == "4.7.5");
}

TEST_CASE("enforce: a forged NXDOMAIN or null MX does not bounce mail") {
  for (const net::DnsResult& answer : {net::DnsResult(net::DnsNoRecord{}), mx({{0, ""}})}) {
    Walk walk;
    const Step step = walk.to_hosts(verdict(policy("enforce", "mx1.example.net")), answer);
    CHECK(only(step).result == Result::deferred);
    CHECK(only(step).status.front() == '4');
  }
}

TEST_CASE("testing: an unlisted host with a bad certificate is used and counted as failed") {
  Walk walk;
  Step step =
      walk.to_hosts(verdict(policy("testing", "other.example")), mx({{10, "mx1.example.net"}}));
  REQUIRE(host_of(step) == "mx1.example.net");
  CHECK(std::get<Converse>(step).requirement == TlsRequirement::opportunistic());
  step = walk.report(delivered(expired()));
  CHECK(only(step).result == Result::delivered);
  const auto& sessions = std::get<Finished>(step).sessions;
  REQUIRE(sessions.size() == 1);
  CHECK(sessions[0].policies[0].policy.type == rpt::PolicyType::sts);
  CHECK_FALSE(sessions[0].policies[0].failures.empty());
}

TEST_CASE("none: as if there were no policy") {
  Walk walk;
  Step step =
      walk.to_hosts(verdict(policy("none", "other.example")), mx({{10, "mx1.example.net"}}));
  CHECK(std::get<Converse>(step).requirement == TlsRequirement::opportunistic());
  step = walk.report(delivered(net::TlsNotOffered{"not-advertised"}));
  CHECK(std::get<Finished>(step).sessions[0].policies[0].policy.type ==
        rpt::PolicyType::no_policy_found);
}

TEST_CASE("opportunistic: a failed handshake is followed by one plaintext session to that host") {
  Walk walk;
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  step = walk.report(ended(smtp::SessionEnd::Kind::tls_failed, smtp::Stage::tls_handshake,
                           net::TlsFailed{"handshake-eof"}));
  REQUIRE(host_of(step) == "mx1.example.net");
  CHECK_FALSE(std::get<Converse>(step).requirement.uses_tls());
  CHECK(std::get<Converse>(step).use == ConnectionUse::only_new);
  step = walk.report(delivered(std::nullopt));
  CHECK(only(step).result == Result::delivered);
  CHECK(std::get<Finished>(step).sessions.size() == 1);  // the retry is not another session
}

TEST_CASE("sessions that carry reports are not recorded") {
  Walk walk(envelope(1, spool::Origin::report));
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  step = walk.report(delivered());
  CHECK(std::get<Finished>(step).sessions.empty());
}

TEST_CASE(
    "a policy that could not be fetched is counted once, also when no host could be reached") {
  sts::PolicyVerdict faulty = verdict(nullptr);
  faulty.fault = sts::DiscoveryFault{sts::DiscoveryFault::Kind::fetch_error, "http-404"};
  Walk unreachable;
  Step step = unreachable.to_hosts(faulty, mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}));
  step = unreachable.report(ConnectFailed{"Connection refused"});
  step = unreachable.report(ConnectFailed{"Connection refused"});
  REQUIRE(std::holds_alternative<Finished>(step));
  REQUIRE(std::get<Finished>(step).sessions.size() == 1);
  CHECK(failure_type(std::get<Finished>(step).sessions[0]) ==
        rpt::ResultType::sts_policy_fetch_error);

  Walk delivered_anyway;
  step = delivered_anyway.to_hosts(faulty, mx({{10, "mx1.example.net"}}));
  step = delivered_anyway.report(delivered());
  CHECK(std::get<Finished>(step).sessions.size() == 1);
}

TEST_CASE("A25: a verdict that says hold defers the mail, unless it says TLS-Required: No") {
  sts::PolicyVerdict held = verdict(nullptr);
  held.hold = "the policy of example.net is still being fetched";
  const net::DnsResult records = mx({{10, "mx1.example.net"}});
  Walk walk;
  const Step step = walk.to_hosts(held, records);
  CHECK(only(step).result == Result::deferred);
  CHECK(only(step).text == held.hold);

  auto optional = std::make_shared<spool::Envelope>(*envelope());
  optional->tls = spool::MessageTls::optional;
  Walk insistent(optional);
  CHECK(host_of(insistent.to_hosts(held, records)) == "mx1.example.net");
}

}  // namespace
}  // namespace relay::delivery
