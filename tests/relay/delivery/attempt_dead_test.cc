// The walk past hosts that could not be reached a moment ago.
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/delivery/attempt.h"
#include "tests/relay/delivery/walk.h"

namespace relay::delivery {
namespace {

/// Settings by which these addresses are dead; the set may change while the attempt goes on.
AttemptSettings with_dead(const std::set<std::string>& ips) {
  AttemptSettings settings = Walk::settings();
  settings.find_dead = [&ips](const net::SocketAddress& address, net::WallTime now) {
    return ips.contains(address.ip()) ? std::optional(DeadAddresses::Mark{
                                            "Connection refused", now - std::chrono::seconds(10),
                                            now + std::chrono::seconds(50)})
                                      : std::nullopt;
  };
  return settings;
}

struct DeadWalk : Walk {
  explicit DeadWalk(const std::set<std::string>& ips,
                    std::shared_ptr<const spool::Envelope> message = envelope())
      : Walk(with_dead(ips), std::move(message)) {}
  /// Answers what is asked for until a conversation or the end: mx1 has .1, mx2 has .2.
  Step go(const sts::PolicyVerdict& in_force) {
    static_cast<void>(attempt.start(kNow));
    static_cast<void>(attempt.on_mx(mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}), kNow));
    return on(attempt.on_policy(in_force, kNow));
  }
  Step on(Step step) {
    while (const auto* find = std::get_if<FindAddresses>(&step)) {
      const bool first = find->host.text() == "mx1.example.net";
      step = attempt.on_addresses(a({first ? "203.0.113.1" : "203.0.113.2"}), kNoData, kNow);
    }
    return step;
  }
};

constexpr const char* kSentence =
    "(203.0.113.1) could not be reached at 07:59:50 UTC (Connection refused) and is not tried "
    "again before 08:00:50 UTC";

TEST_CASE("a host known to be dead is passed over without a connection, and others are tried") {
  const std::set<std::string> dead{"203.0.113.1"};
  DeadWalk walk(dead);
  Step step = walk.go(verdict(nullptr));
  REQUIRE(host_of(step) == "mx2.example.net");
  const auto notes = walk.attempt.take_notes();
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].host == "mx1.example.net");
  CHECK(notes[0].reason_code == "recently-unreachable");
  CHECK(notes[0].text == std::string("mx1.example.net ") + kSentence);
  step = walk.report(delivered());
  CHECK(only(step).result == Result::delivered);
  CHECK(std::get<Finished>(step).sessions.size() == 1);
}

TEST_CASE("dead hosts do not count among the sessions that an attempt may have") {
  const std::set<std::string> dead{"203.0.113.1"};
  AttemptSettings settings = with_dead(dead);
  settings.sessions = 1;
  Walk walk(std::move(settings), envelope());
  static_cast<void>(walk.attempt.start(kNow));
  static_cast<void>(walk.attempt.on_mx(mx({{1, "a.example"}, {2, "b.example"}}), kNow));
  static_cast<void>(walk.attempt.on_policy(verdict(nullptr), kNow));
  Step step = walk.attempt.on_addresses(a({"203.0.113.1"}), kNoData, kNow);
  REQUIRE(std::holds_alternative<FindAddresses>(step));
  step = walk.attempt.on_addresses(a({"203.0.113.2"}), kNoData, kNow);
  CHECK(host_of(step) == "b.example");
}

TEST_CASE("with all hosts dead everyone is deferred at once, and nothing counts for TLS-RPT") {
  const std::set<std::string> dead{"203.0.113.1", "203.0.113.2"};
  DeadWalk walk(dead, envelope(2));
  const Step step = walk.go(verdict(nullptr));
  const auto* finished = std::get_if<Finished>(&step);
  REQUIRE(finished != nullptr);
  REQUIRE(finished->outcomes.size() == 2);
  for (const RecipientOutcome& outcome : finished->outcomes) {
    CHECK(outcome.result == Result::deferred);
    CHECK(outcome.status == "4.4.1");
    CHECK(outcome.text.starts_with("mx2.example.net (203.0.113.2) could not be reached at "));
    CHECK(outcome.host == "mx2.example.net");
    CHECK(outcome.ip == "203.0.113.2");
    CHECK(outcome.finality == Finality::undecided);
  }
  CHECK(finished->sessions.empty());
  CHECK(walk.attempt.take_notes().size() == 2);
}

TEST_CASE("a fixed address that is dead defers, too") {
  const std::set<std::string> dead{"203.0.113.1"};
  const auto message = envelope();
  DeliveryAttempt attempt(with_dead(dead),
                          NextHop{FixedAddress{*net::SocketAddress::from_ip("203.0.113.1", 25)}, 25,
                                  NextHop::Origin::route},
                          message);
  const Step step = attempt.start(kNow);
  CHECK(only(step).result == Result::deferred);
  // There is no name to tell.
  CHECK(only(step).text.starts_with("203.0.113.1 could not be reached at 07:59:50 UTC"));
}

TEST_CASE("a dead host makes no host acceptable that a policy refuses") {
  const std::set<std::string> first_dead{"203.0.113.1"};
  const std::set<std::string> second_dead{"203.0.113.2"};
  const auto enforce = verdict(policy("enforce", "mx1.example.net"));
  for (const auto& dead : {first_dead, second_dead}) {
    CAPTURE(*dead.begin());
    DeadWalk walk(dead);
    Step step = walk.go(enforce);
    if (dead == second_dead) {
      REQUIRE(host_of(step) == "mx1.example.net");
      CHECK(std::get<Converse>(step).requirement == TlsRequirement::verified());
      step = walk.on(walk.attempt.on_conversation(ConnectFailed{"refused"}, kNow));
    }
    // The refused host is counted and explained by its policy, dead or not.
    REQUIRE(std::holds_alternative<FindPolicy>(step));
    step = walk.on(walk.attempt.on_policy(enforce, kNow));
    CHECK(only(step).result == Result::deferred);
    CHECK(only(step).status == "4.7.5");
    REQUIRE(std::get<Finished>(step).sessions.size() == 1);
    CHECK(failure_type(std::get<Finished>(step).sessions[0]) ==
          rpt::ResultType::validation_failure);
  }
}

TEST_CASE("what must be verified must be so at the host that follows a dead one, too") {
  const std::set<std::string> dead{"203.0.113.1"};
  DeadWalk walk(dead);
  Step step = walk.go(verdict(policy("enforce", "*.example.net")));
  REQUIRE(host_of(step) == "mx2.example.net");
  CHECK(std::get<Converse>(step).requirement == TlsRequirement::verified());
  step = walk.attempt.on_conversation(
      ended(smtp::SessionEnd::Kind::tls_requirement, smtp::Stage::starttls, expired()), kNow);
  REQUIRE(std::holds_alternative<FindPolicy>(step));

  auto message = std::make_shared<spool::Envelope>(*envelope());
  message->tls = spool::MessageTls::required;
  DeadWalk demanded(dead, message);
  step = demanded.go(verdict(policy("enforce", "mx1.example.net")));
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  step =
      demanded.on(demanded.attempt.on_policy(verdict(policy("enforce", "mx1.example.net")), kNow));
  CHECK(only(step).result == Result::deferred);
}

TEST_CASE("of a host's addresses only the dead ones are passed over, in either family") {
  struct Row {
    std::set<std::string> dead;
    std::string first;
  };
  const auto refusal = [] {
    auto words = result(smtp::Disposition::rejected, smtp::Stage::rcpt, 550);
    words.reply = smtp::Reply{550, {"5.7.25 no PTR record"}};
    return transaction({words});
  };
  const auto at_first = [](DeliveryAttempt& attempt) {
    static_cast<void>(attempt.start(kNow));
    static_cast<void>(attempt.on_mx(mx({{10, "mx1.example.net"}}), kNow));
    static_cast<void>(attempt.on_policy(verdict(nullptr), kNow));
    return attempt.on_addresses(a({"203.0.113.1", "203.0.113.2"}),
                                a({"2001:db8::1", "2001:db8::2"}), kNow);
  };
  for (const Row& row : std::vector<Row>{
           {{"2001:db8::1"}, "203.0.113.1"},
           {{"2001:db8::1", "203.0.113.1"}, "2001:db8::2"},
           {{"2001:db8::1", "2001:db8::2"}, "203.0.113.1"},
           {{"2001:db8::1", "2001:db8::2", "203.0.113.1"}, "203.0.113.2"},
       }) {
    CAPTURE(row.first);
    Walk walk(with_dead(row.dead), envelope());
    const Step step = at_first(walk.attempt);
    REQUIRE(std::holds_alternative<Converse>(step));
    CHECK(std::get<Converse>(step).address.ip() == row.first);
  }
  // The other family's turn, because the host objects to our address.
  const std::set<std::string> one{"203.0.113.1"};
  Walk walk(with_dead(one), envelope());
  Step step = at_first(walk.attempt);
  REQUIRE(std::get<Converse>(step).address.ip() == "2001:db8::1");
  step = walk.attempt.on_conversation(refusal(), kNow);
  REQUIRE(std::holds_alternative<Converse>(step));
  CHECK(std::get<Converse>(step).address.ip() == "203.0.113.2");

  const std::set<std::string> both{"203.0.113.1", "203.0.113.2"};
  Walk other(with_dead(both), envelope());
  step = at_first(other.attempt);
  step = other.attempt.on_conversation(refusal(), kNow);
  CHECK(only(step).result == Result::deferred);
}

TEST_CASE("an address once talked to is gone on with, whatever is remembered meanwhile") {
  std::set<std::string> dead;
  DeadWalk pooled(dead);
  Step step = pooled.go(verdict(nullptr));
  REQUIRE(host_of(step) == "mx1.example.net");
  dead = {"203.0.113.1"};
  SessionUsed lost = ended(smtp::SessionEnd::Kind::lost, smtp::Stage::mail, verified());
  lost.origin = SessionUsed::Origin::reused;
  step = pooled.attempt.on_conversation(lost, kNow);
  REQUIRE(host_of(step) == "mx1.example.net");
  CHECK(std::get<Converse>(step).use == ConnectionUse::only_new);

  dead.clear();
  DeadWalk failed(dead);
  step = failed.go(verdict(nullptr));
  dead = {"203.0.113.1"};
  step =
      failed.attempt.on_conversation(ended(smtp::SessionEnd::Kind::tls_failed,
                                           smtp::Stage::tls_handshake, net::TlsFailed{"handshake"}),
                                     kNow);
  REQUIRE(host_of(step) == "mx1.example.net");

  dead.clear();
  DeadWalk again(dead, envelope(2));
  step = again.go(verdict(nullptr));
  dead = {"203.0.113.1"};
  auto too_many = result(smtp::Disposition::deferred, smtp::Stage::rcpt, 452);
  too_many.too_many = true;
  step = again.attempt.on_conversation(
      transaction({result(smtp::Disposition::delivered, smtp::Stage::final_dot, 250), too_many}),
      kNow);
  CHECK(host_of(step) == "mx1.example.net");
}

}  // namespace
}  // namespace relay::delivery
