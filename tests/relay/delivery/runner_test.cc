#include "relay/delivery/runner.h"

#include <doctest/doctest.h>

#include "tests/relay/delivery/smtp_peer.h"

namespace {

using namespace relay::delivery;
namespace net = relay::net;
namespace smtp = relay::smtp;
using Result = RecipientOutcome::Result;

/// An attempt to deliver a message over a route to the peer's address.
struct Attempt : support::DeliveryWorld {
  Runner& start(std::size_t size = 500) {
    auto envelope = std::make_shared<relay::spool::Envelope>(store({"a.example"}, size));
    envelope_ = envelope;
    NextHop hop{FixedAddress{peer.address()}, peer.address().port(), NextHop::Origin::route};
    runner = std::make_unique<Runner>(
        runners, std::vector{Way{attempt_settings(), std::move(hop), settings}},
        std::move(envelope), std::chrono::minutes(15),
        [this](AttemptEnd over) { end = std::move(over); });
    runner->start();
    return *runner;
  }
  void run_until_over() {
    support::run_until(loop, [this] { return end.has_value(); });
  }
  [[nodiscard]] AttemptSettings attempt_settings() const {
    AttemptSettings made;
    made.own_name = settings.helo_name;
    return made;
  }
  [[nodiscard]] const RecipientOutcome& outcome() const {
    REQUIRE(end);
    REQUIRE(end->finished.outcomes.size() == 1);
    return end->finished.outcomes.front();
  }

  net::DnsClient dns{loop, clock, net::DnsClientOptions{}};
  net::HttpsClient https{loop, net::HttpsClientOptions{}};
  PolicyResolver policies{loop, clock, dns, https, *spool, log.log(), {}, {}, 100};
  ConnectionPool pool{conversations, {}};
  TokenSource tokens{clock, dns, https};
  UpstreamStates upstreams;
  MessageSigner signer{*reader, clock, std::make_shared<const SigningKeys>()};
  RunnerContext runners{loop,
                        clock,
                        dns,
                        policies,
                        pool,
                        conversations,
                        log.log(),
                        tokens,
                        upstreams,
                        signer,
                        std::chrono::minutes(1)};
  std::shared_ptr<const relay::spool::Envelope> envelope_;
  std::unique_ptr<Runner> runner;
  std::optional<AttemptEnd> end;
};

smtp::SessionEnd ended(smtp::SessionEnd::Kind kind, smtp::Stage stage) {
  return {kind, stage, std::nullopt, "it ended"};
}

SessionUsed session(std::optional<smtp::SessionEnd> end,
                    SessionUsed::Origin origin = SessionUsed::Origin::opened) {
  SessionUsed used;
  used.origin = origin;
  used.transaction = smtp::TransactionResult{};
  used.end = std::move(end);
  return used;
}

}  // namespace

TEST_CASE("only what happens to the connection moves the window, and a polite end is a success") {
  using Kind = smtp::SessionEnd::Kind;
  using Origin = SessionUsed::Origin;
  SessionUsed self = session(ended(Kind::quit, smtp::Stage::quit));
  self.transaction.reset();
  CHECK(window_feedback(ConnectFailed{"refused"}) == WindowFeedback::failure);
  CHECK(window_feedback(session(std::nullopt)) == WindowFeedback::success);
  CHECK(window_feedback(session(ended(Kind::quit, smtp::Stage::quit))) == WindowFeedback::success);
  CHECK(window_feedback(session(ended(Kind::quit, smtp::Stage::body))) == WindowFeedback::none);
  CHECK(window_feedback(self) == WindowFeedback::none);
  CHECK(window_feedback(session(ended(Kind::lost, smtp::Stage::mail))) == WindowFeedback::failure);
  CHECK(window_feedback(session(ended(Kind::lost, smtp::Stage::mail), Origin::reused)) ==
        WindowFeedback::none);
}

TEST_CASE("a server that takes one message a connection keeps its destination's window") {
  Attempt attempt;
  attempt.peer.replies["EHLO"] = "250-peer.example\r\n250 LIMITS MAILMAX=1";
  attempt.start();
  attempt.run_until_over();
  CHECK(attempt.outcome().result == Result::delivered);
  CHECK(attempt.end->feedback == WindowFeedback::success);
  CHECK(attempt.pool.size() == 0);
}

TEST_CASE("a route may lead to a server with our own name") {
  Attempt attempt;
  attempt.peer.replies["EHLO"] = "250 " + attempt.settings.helo_name;
  attempt.start();
  attempt.run_until_over();
  CHECK(attempt.outcome().result == Result::delivered);
  CHECK(attempt.peer.messages() == 1);
}

TEST_CASE("the deadline: before content the session ends, with what it has brought") {
  Attempt attempt;
  attempt.peer.replies["EHLO"] = "250 peer.example";
  attempt.peer.replies["MAIL"] = "";
  Runner& runner = attempt.start();
  support::run_until(attempt.loop, [&] {
    return attempt.peer.connections() == 1 && attempt.peer.has_said(0, "MAIL");
  });
  runner.pass_deadline();
  CHECK(attempt.outcome().result == Result::deferred);
  CHECK(attempt.outcome().certainty == Certainty::known);
  CHECK(attempt.outcome().status == "4.4.7");
  CHECK(attempt.log.count("result=ended-at-mail") == 1);
  support::settle(attempt.loop);
  CHECK(attempt.peer.connections() == 1);
}

TEST_CASE("the deadline: content once begun keeps the time of its stages, and may be delivered") {
  Attempt attempt;
  attempt.peer.replies["."] = "";
  SUBCASE("the server takes it after all") {
    Runner& runner = attempt.start(300'000);
    support::run_until(attempt.loop, [&] { return attempt.peer.messages() == 1; });
    runner.pass_deadline();
    support::settle(attempt.loop);
    CHECK_FALSE(attempt.end);
    attempt.peer.say(0, "250 2.0.0 taken");
    attempt.run_until_over();
    CHECK(attempt.outcome().result == Result::delivered);
    CHECK(attempt.end->finished.outcomes.front().text.find("taken") != std::string::npos);
  }
  SUBCASE("the server defers it: no other host is tried") {
    Runner& runner = attempt.start();
    support::run_until(attempt.loop, [&] { return attempt.peer.messages() == 1; });
    runner.pass_deadline();
    attempt.peer.say(0, "451 later");
    attempt.run_until_over();
    CHECK(attempt.outcome().result == Result::deferred);
    CHECK(attempt.peer.connections() == 1);
  }
  SUBCASE("the reply never comes: it may have been delivered") {
    attempt.settings.timeouts.final_dot = std::chrono::milliseconds(1);
    Runner& runner = attempt.start();
    support::run_until(attempt.loop, [&] { return attempt.peer.messages() == 1 || attempt.end; });
    if (!attempt.end) {
      runner.pass_deadline();
    }
    attempt.run_until_over();
    CHECK(attempt.outcome().certainty == Certainty::maybe_delivered);
  }
}

TEST_CASE("the deadline: while connecting") {
  Attempt attempt;
  Runner& runner = attempt.start();
  runner.pass_deadline();
  CHECK(attempt.outcome().result == Result::deferred);
  CHECK(attempt.end->feedback == WindowFeedback::failure);
  support::settle(attempt.loop);
}

TEST_CASE("an outcome shows the TLS of the session that brought it") {
  AttemptEnd end;
  end.tls = {{{"mx1.example", "192.0.2.1"}, "TLSv1.3"}, {{"mx2.example", "192.0.2.2"}, "none"}};
  RecipientOutcome outcome;
  outcome.host = "mx1.example";
  outcome.ip = "192.0.2.1";
  CHECK(end.tls_of(outcome) == "TLSv1.3");
  outcome.ip = "192.0.2.2";
  CHECK(end.tls_of(outcome).empty());
}
