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
    const net::SocketAddress there = target.value_or(peer.address());
    NextHop hop{FixedAddress{there}, there.port(), NextHop::Origin::route};
    runner = std::make_unique<Runner>(
        runners,
        std::vector{Way{attempt_settings(), std::move(hop), settings, source, {}, credentials}},
        std::move(envelope), std::chrono::minutes(15),
        [this](AttemptEnd over) { end = std::move(over); });
    runner->start();
    return *runner;
  }
  void run_once() {
    end.reset();
    start();
    run_until_over();
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
  DeadAddresses dead_addresses;
  MessageSigner signer{*reader, clock, std::make_shared<const SigningKeys>()};
  RunnerContext runners{loop,      clock,          dns,       policies,
                        pool,      conversations,  log.log(), tokens,
                        upstreams, dead_addresses, signer,    std::chrono::minutes(1)};
  std::optional<net::SocketAddress> target;  ///< nullopt: the peer's
  std::optional<net::SocketAddress> source;
  std::shared_ptr<const Credentials> credentials;
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

TEST_CASE("an address that falls silent is left alone until its time is over, or it works") {
  Attempt attempt;
  attempt.peer.replies[""] = "";
  attempt.settings.timeouts.greeting = std::chrono::milliseconds(1);
  attempt.run_once();
  CHECK(attempt.outcome().result == Result::deferred);
  CHECK(attempt.end->feedback == WindowFeedback::failure);

  attempt.run_once();
  CHECK(attempt.peer.connections() == 1);
  CHECK(attempt.outcome().result == Result::deferred);
  CHECK(attempt.outcome().status == "4.4.1");
  CHECK(attempt.outcome().text.find("is not tried again before") != std::string::npos);
  CHECK(attempt.end->feedback == WindowFeedback::none);
  CHECK(attempt.log.count("reason=recently-unreachable") == 1);

  attempt.clock.advance(std::chrono::minutes(1));
  attempt.peer.replies[""] = "220 peer.example";
  attempt.settings.timeouts.greeting = std::chrono::minutes(1);
  attempt.run_once();
  CHECK(attempt.peer.connections() == 2);
  CHECK(attempt.outcome().result == Result::delivered);
  CHECK(attempt.dead_addresses.size() == 0);
}

TEST_CASE("a refused connection is remembered, unless the setting says that nothing is") {
  Attempt attempt;
  // Bound and not listening: nobody else can get the port meanwhile.
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  auto closed = *net::SocketAddress::from_ip("127.0.0.1", 0);
  REQUIRE(::bind(fd, closed.get(), closed.length()) == 0);
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) == 0);
  attempt.target = net::SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&bound), length);
  attempt.runners.host_retry = std::chrono::milliseconds(0);
  attempt.run_once();
  attempt.run_once();
  CHECK(attempt.log.count("result=connect-failed") == 2);
  attempt.runners.host_retry = std::chrono::minutes(1);
  attempt.run_once();
  attempt.run_once();
  CHECK(attempt.log.count("result=connect-failed") == 3);
  CHECK(attempt.outcome().text.find("(Connection refused)") != std::string::npos);
  ::close(fd);
}

TEST_CASE("a refusal in the greeting, a failed token or our own deadline make no address dead") {
  Attempt attempt;
  SUBCASE("421") {
    attempt.peer.replies[""] = "421 later";
    attempt.run_once();
    CHECK(attempt.peer.connections() == 1);
  }
  SUBCASE("the token") {
    auto credentials = std::make_shared<Credentials>();
    credentials->account = "user";
    credentials->endpoint = std::make_shared<const TokenEndpoint>(TokenEndpoint{
        *net::DomainName::parse("login.example"), 443, "/", "id", smtp::Secret("s"), ""});
    attempt.credentials = credentials;
    attempt.run_once();
    CHECK(attempt.peer.connections() == 0);
  }
  SUBCASE("the deadline") {
    attempt.peer.replies[""] = "";
    Runner& runner = attempt.start();
    support::run_until(attempt.loop, [&] { return attempt.peer.connections() == 1; });
    runner.pass_deadline();
    attempt.run_until_over();
  }
  SUBCASE("a source address that is not ours") {
    attempt.source = net::SocketAddress::from_ip("203.0.113.1", 0);
    attempt.run_once();
    CHECK(attempt.log.count("result=connect-failed") == 1);
  }
  CHECK(attempt.outcome().result == Result::deferred);
  CHECK(attempt.dead_addresses.size() == 0);
}

TEST_CASE("a host that takes no further connection beside an open one is not dead") {
  Attempt attempt;
  attempt.peer.replies["."] = "";
  const auto message = attempt.store({"a.example"});
  bool over = false;
  auto open = std::make_unique<Conversation>(attempt.conversations,
                                             static_cast<support::DeliveryWorld&>(attempt).target(),
                                             attempt.settings);
  open->open(attempt.job(message), [&](const ConversationReport&) { over = true; });
  support::run_until(attempt.loop, [&] { return attempt.peer.messages() == 1; });
  CHECK(attempt.count.any_open(attempt.peer.address()));

  attempt.peer.replies[""] = "";
  attempt.settings.timeouts.greeting = std::chrono::milliseconds(1);
  attempt.run_once();
  attempt.run_once();
  CHECK(attempt.peer.connections() == 3);
  CHECK(attempt.dead_addresses.size() == 0);
  // Nor does an older mark count while something is open there.
  const net::WallTime now = attempt.clock.wall();
  attempt.dead_addresses.failed(attempt.peer.address(), {"why", now, now + std::chrono::hours(1)});
  attempt.run_once();
  CHECK(attempt.peer.connections() == 4);
  CHECK_FALSE(over);
  open.reset();
  CHECK_FALSE(attempt.count.any_open(attempt.peer.address()));
  attempt.run_once();
  CHECK(attempt.peer.connections() == 4);
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
