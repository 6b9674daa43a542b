// The whole decision walk of one delivery without I/O: each test feeds answers to the step machine
// and reads the next step.
#include "relay/delivery/attempt.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace relay::delivery {
namespace {

using Result = RecipientOutcome::Result;
using smtp::TlsRequirement;

constexpr net::WallTime kNow{std::chrono::seconds(1'800'000'000)};

net::DomainName name(std::string_view text) {
  return net::DomainName::parse(text).value();
}

std::shared_ptr<const sts::CachedPolicy> policy(std::string_view mode, std::string_view mx,
                                                std::string id = "1") {
  const std::string body = "version: STSv1\nmode: " + std::string(mode) +
                           "\nmx: " + std::string(mx) + "\nmax_age: 86400\n";
  auto cached = std::make_shared<sts::CachedPolicy>();
  cached->domain = "example.net";
  cached->id = std::move(id);
  cached->policy = sts::parse_policy(body, sts::Strictness::strict).policy.value();
  cached->fetched_at = kNow;
  cached->expires_at = kNow + std::chrono::hours(24);
  return cached;
}

sts::PolicyVerdict verdict(std::shared_ptr<const sts::CachedPolicy> in_force) {
  sts::PolicyVerdict result;
  result.policy = std::move(in_force);
  result.source =
      result.policy ? sts::PolicyVerdict::Source::cache : sts::PolicyVerdict::Source::none;
  return result;
}

net::DnsResult mx(std::vector<net::DnsMx> records) {
  net::DnsAnswer answer;
  answer.records = std::move(records);
  return answer;
}

net::DnsResult a(std::vector<std::string> texts) {
  net::DnsAnswer answer;
  answer.records = std::move(texts);
  return answer;
}

const net::DnsResult kNoData = net::DnsNoRecord{.name_exists = true};

std::shared_ptr<const spool::Envelope> envelope(int recipients = 1,
                                                spool::Origin origin = spool::Origin::submitted) {
  auto result = std::make_shared<spool::Envelope>();
  result->id = spool::MessageId(42);
  result->sender = "s@example.org";
  result->origin = origin;
  for (int i = 0; i < recipients; ++i) {
    spool::Recipient recipient;
    recipient.index = static_cast<std::uint32_t>(i);
    recipient.address = "r" + std::to_string(i) + "@example.net";
    recipient.domain = "example.net";
    result->recipients.push_back(recipient);
  }
  return result;
}

struct Walk {
  explicit Walk(std::shared_ptr<const spool::Envelope> message = envelope(),
                NextHop hop = NextHop{MxLookup{name("example.net")}, 25,
                                      NextHop::Origin::recipient_domain})
      : attempt(settings(), std::move(hop), std::move(message)) {}

  static AttemptSettings settings() {
    AttemptSettings settings;
    settings.own_name = "relay.example.org";
    settings.shuffle = [](std::span<MxHost>) {};
    return settings;
  }
  /// Runs until the first conversation (or the end), with one address per host.
  Step to_hosts(const sts::PolicyVerdict& in_force, const net::DnsResult& records) {
    Step step = attempt.start(kNow);
    REQUIRE(std::holds_alternative<FindPolicy>(step));
    step = attempt.on_policy(in_force, kNow);
    REQUIRE(std::holds_alternative<FindMx>(step));
    return addresses(attempt.on_mx(records, kNow));
  }
  Step addresses(Step step) {
    while (std::holds_alternative<FindAddresses>(step)) {
      step = attempt.on_addresses(a({"203.0.113.5"}), kNoData, kNow);
    }
    return step;
  }
  Step report(const ConversationReport& result) {
    return addresses(attempt.on_conversation(result, kNow));
  }

  DeliveryAttempt attempt;
};

std::string host_of(const Step& step) {
  const auto* converse = std::get_if<Converse>(&step);
  return converse != nullptr && converse->host ? converse->host->text() : "";
}

net::TlsOutcome verified() {
  return net::TlsVerified{{"TLSv1.3", "TLS_AES_256_GCM_SHA384", false}};
}
net::TlsOutcome expired() {
  return net::TlsUnverified{{"TLSv1.3", "TLS_AES_256_GCM_SHA384", false},
                            {{net::CertificateFaultKind::expired, "X509_V_ERR_CERT_HAS_EXPIRED"}}};
}

smtp::RecipientResult result(smtp::Disposition disposition, smtp::Stage stage, int code) {
  smtp::RecipientResult recipient;
  recipient.disposition = disposition;
  recipient.stage = stage;
  recipient.reply = smtp::Reply{code, {"text"}};
  recipient.enhanced_code = std::to_string(code / 100) + ".0.0";
  return recipient;
}

SessionUsed transaction(std::vector<smtp::RecipientResult> recipients,
                        std::optional<net::TlsOutcome> tls = verified()) {
  SessionUsed session;
  session.tls = std::move(tls);
  session.server_name = "mx.example.net";
  session.local_ip = "192.0.2.1";
  session.transaction = smtp::TransactionResult{std::move(recipients)};
  return session;
}

SessionUsed delivered(std::optional<net::TlsOutcome> tls = verified()) {
  return transaction({result(smtp::Disposition::delivered, smtp::Stage::final_dot, 250)},
                     std::move(tls));
}

SessionUsed ended(smtp::SessionEnd::Kind kind, smtp::Stage stage,
                  std::optional<net::TlsOutcome> tls = std::nullopt) {
  SessionUsed session;
  session.tls = std::move(tls);
  session.end = smtp::SessionEnd{kind, stage, std::nullopt, "it ended"};
  return session;
}

const RecipientOutcome& only(const Step& step) {
  const auto* finished = std::get_if<Finished>(&step);
  REQUIRE(finished != nullptr);
  REQUIRE(finished->outcomes.size() == 1);
  return finished->outcomes.front();
}

rpt::ResultType failure_type(const rpt::SessionResult& session) {
  REQUIRE_FALSE(session.policies.empty());
  REQUIRE_FALSE(session.policies.front().failures.empty());
  return session.policies.front().failures.front().type;
}

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

TEST_CASE("what one reply means for the recipient and the walk") {
  using smtp::Disposition;
  using smtp::Stage;
  struct Row {
    const char* what;
    Disposition disposition;
    Stage stage;
    int code;
    bool next_host;
    Result final_result;
  };
  for (const Row& row : std::vector<Row>{
           {"250 to the dot", Disposition::delivered, Stage::final_dot, 250, false,
            Result::delivered},
           {"550 to RCPT", Disposition::rejected, Stage::rcpt, 550, false, Result::failed},
           {"450 to RCPT", Disposition::deferred, Stage::rcpt, 450, false, Result::deferred},
           {"451 to MAIL", Disposition::deferred, Stage::mail, 451, true, Result::deferred},
           {"452 to the dot", Disposition::deferred, Stage::final_dot, 452, true, Result::deferred},
           {"554 to the dot", Disposition::rejected, Stage::final_dot, 554, false, Result::failed},
           {"too large", Disposition::unsuitable, Stage::mail, 552, true, Result::failed},
           {"lost after the dot", Disposition::unknown, Stage::final_dot, 0, false,
            Result::deferred},
       }) {
    CAPTURE(row.what);
    Walk walk;
    Step step =
        walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}));
    auto recipient = result(row.disposition, row.stage, row.code);
    if (row.code == 0) {
      recipient.reply.reset();
      recipient.detail = "connection lost";
      recipient.enhanced_code = "4.4.2";
    }
    step = walk.report(transaction({recipient}));
    if (row.next_host) {
      REQUIRE(host_of(step) == "mx2.example.net");
      step = walk.report(transaction({recipient}));
    }
    CHECK(only(step).result == row.final_result);
    if (row.disposition == Disposition::unknown) {
      CHECK(only(step).certainty == Certainty::maybe_delivered);
    }
  }
}

TEST_CASE("a recipient the server has no room for is sent again at once, but not for ever") {
  Walk walk(envelope(2));
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  auto too_many = result(smtp::Disposition::deferred, smtp::Stage::rcpt, 452);
  too_many.too_many = true;
  step = walk.report(
      transaction({result(smtp::Disposition::delivered, smtp::Stage::final_dot, 250), too_many}));
  REQUIRE(host_of(step) == "mx1.example.net");
  CHECK(std::get<Converse>(step).recipients == std::vector<std::size_t>{1});
  step = walk.report(transaction({too_many}));
  REQUIRE(std::holds_alternative<Finished>(step));
  CHECK(std::get<Finished>(step).outcomes[1].result == Result::deferred);
}

TEST_CASE("a pooled connection that had died is replaced without counting an attempt") {
  Walk walk;
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  SessionUsed dead = ended(smtp::SessionEnd::Kind::lost, smtp::Stage::mail, verified());
  dead.origin = SessionUsed::Origin::reused;
  step = walk.report(dead);
  REQUIRE(host_of(step) == "mx1.example.net");
  CHECK(std::get<Converse>(step).use == ConnectionUse::only_new);
  step = walk.report(delivered());
  CHECK(std::get<Finished>(step).sessions.size() == 1);
}

TEST_CASE("connection failures walk through addresses and hosts and end in a deferral") {
  Walk walk;
  Step step = walk.attempt.start(kNow);
  step = walk.attempt.on_policy(verdict(nullptr), kNow);
  step = walk.attempt.on_mx(mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}), kNow);
  step = walk.attempt.on_addresses(a({"203.0.113.5", "203.0.113.6"}), kNoData, kNow);
  step = walk.attempt.on_conversation(ConnectFailed{"Connection refused"}, kNow);
  CHECK(std::get<Converse>(step).address.ip() == "203.0.113.6");
  step = walk.attempt.on_conversation(ConnectFailed{"Connection refused"}, kNow);
  REQUIRE(std::holds_alternative<FindAddresses>(step));
  step = walk.attempt.on_addresses(net::DnsFailure{"SERVFAIL"}, kNoData, kNow);
  CHECK(only(step).result == Result::deferred);
  CHECK(std::get<Finished>(step).sessions.empty());
}

TEST_CASE("hosts that do not exist fail for good only when all of them do not") {
  Walk all;
  Step step = all.attempt.start(kNow);
  step = all.attempt.on_policy(verdict(nullptr), kNow);
  step = all.attempt.on_mx(mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}), kNow);
  step = all.attempt.on_addresses(net::DnsNoRecord{}, net::DnsNoRecord{}, kNow);
  step = all.attempt.on_addresses(net::DnsNoRecord{}, net::DnsNoRecord{}, kNow);
  CHECK(only(step).result == Result::failed);
  CHECK(only(step).status == "5.4.4");

  Walk some;
  step = some.attempt.start(kNow);
  step = some.attempt.on_policy(verdict(nullptr), kNow);
  step = some.attempt.on_mx(mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}), kNow);
  step = some.attempt.on_addresses(net::DnsNoRecord{}, net::DnsNoRecord{}, kNow);
  step = some.attempt.on_addresses(net::DnsFailure{"timeout"}, kNoData, kNow);
  CHECK(only(step).result == Result::deferred);
}

TEST_CASE("at most two sessions that got past EHLO fail per attempt, policy refusals aside") {
  const net::DnsResult three = mx({{1, "a.example"}, {2, "b.example"}, {3, "c.example"}});
  Walk walk;
  Step step = walk.to_hosts(verdict(nullptr), three);
  step = walk.report(ended(smtp::SessionEnd::Kind::lost, smtp::Stage::mail));
  REQUIRE(host_of(step) == "b.example");
  step = walk.report(ended(smtp::SessionEnd::Kind::lost, smtp::Stage::mail));
  CHECK(only(step).result == Result::deferred);

  Walk busy;
  step = busy.to_hosts(verdict(nullptr), three);
  step = busy.report(ended(smtp::SessionEnd::Kind::refused, smtp::Stage::greeting));
  step = busy.report(ended(smtp::SessionEnd::Kind::timeout, smtp::Stage::ehlo));
  CHECK(host_of(step) == "c.example");

  Walk enforced;
  step = enforced.to_hosts(verdict(policy("enforce", "*.example.net")),
                           mx({{1, "a.example.net"}, {2, "b.example.net"}, {3, "c.example.net"}}));
  step = enforced.report(
      ended(smtp::SessionEnd::Kind::tls_requirement, smtp::Stage::starttls, expired()));
  step = enforced.report(
      ended(smtp::SessionEnd::Kind::tls_requirement, smtp::Stage::starttls, expired()));
  CHECK(host_of(step) == "c.example.net");
}

TEST_CASE("a host that greets with our own name ends the walk") {
  Walk walk;
  Step step =
      walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}));
  SessionUsed self =
      ended(smtp::SessionEnd::Kind::quit, smtp::Stage::quit, net::TlsNotOffered{"not-advertised"});
  self.peer = SessionUsed::Peer::self;
  step = walk.report(self);
  CHECK(only(step).result == Result::failed);
  CHECK(only(step).status == "5.4.6");
}

TEST_CASE("a fixed address has no policy and a fixed host is its own policy domain") {
  Walk address(envelope(), NextHop{FixedAddress{*net::SocketAddress::from_ip("192.0.2.9", 25)}, 25,
                                   NextHop::Origin::route});
  Step step = address.attempt.start(kNow);
  REQUIRE(std::holds_alternative<Converse>(step));
  CHECK_FALSE(std::get<Converse>(step).host.has_value());
  step = address.report(delivered());
  CHECK(std::get<Finished>(step).sessions.empty());

  Walk host(envelope(), NextHop{FixedHost{name("smart.example.org")}, 587, NextHop::Origin::route});
  step = host.attempt.start(kNow);
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  CHECK(std::get<FindPolicy>(step).domain == name("smart.example.org"));
  step = host.attempt.on_policy(verdict(nullptr), kNow);
  REQUIRE(std::holds_alternative<FindAddresses>(step));
  // A route's author may name a private host.
  step = host.attempt.on_addresses(a({"10.1.2.3"}), kNoData, kNow);
  CHECK(host_of(step) == "smart.example.org");
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

TEST_CASE("the deadline defers whatever is pending") {
  Walk walk(envelope(2));
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  REQUIRE(std::holds_alternative<Converse>(step));
  const Finished finished = walk.attempt.on_deadline(kNow);
  REQUIRE(finished.outcomes.size() == 2);
  CHECK(finished.outcomes[0].result == Result::deferred);
  CHECK(finished.outcomes[0].status == "4.4.7");
}

}  // namespace
}  // namespace relay::delivery
