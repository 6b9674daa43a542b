// The walk over hosts, addresses and recipients: each test feeds answers to the step machine and
// reads the next step.
#include "relay/delivery/attempt.h"

#include <doctest/doctest.h>

#include "tests/relay/delivery/walk.h"

namespace relay::delivery {
namespace {

using Result = RecipientOutcome::Result;

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
  step = walk.attempt.on_mx(mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}), kNow);
  step = walk.attempt.on_policy(verdict(nullptr), kNow);
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
  step = all.attempt.on_mx(mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}), kNow);
  step = all.attempt.on_policy(verdict(nullptr), kNow);
  step = all.attempt.on_addresses(net::DnsNoRecord{}, net::DnsNoRecord{}, kNow);
  step = all.attempt.on_addresses(net::DnsNoRecord{}, net::DnsNoRecord{}, kNow);
  CHECK(only(step).result == Result::failed);
  CHECK(only(step).status == "5.4.4");

  Walk some;
  step = some.attempt.start(kNow);
  step = some.attempt.on_mx(mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}), kNow);
  step = some.attempt.on_policy(verdict(nullptr), kNow);
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

TEST_CASE("the deadline defers whatever is pending") {
  Walk walk(envelope(2));
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  REQUIRE(std::holds_alternative<Converse>(step));
  const Finished finished = walk.attempt.on_deadline(kNow);
  REQUIRE(finished.outcomes.size() == 2);
  CHECK(finished.outcomes[0].result == Result::deferred);
  CHECK(finished.outcomes[0].status == "4.4.7");
}

TEST_CASE("too many recipients in a transaction that failed otherwise: the next host, no loop") {
  auto too_many = result(smtp::Disposition::deferred, smtp::Stage::rcpt, 452);
  too_many.too_many = true;
  const auto at = [](smtp::Stage stage, int code) {
    return result(smtp::Disposition::deferred, stage, code);
  };
  for (const smtp::Stage stage : {smtp::Stage::data, smtp::Stage::mail}) {
    Walk walk(envelope(2));
    Step step =
        walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}));
    step = walk.report(transaction({at(stage, 451), too_many}));
    CHECK(host_of(step) == "mx2.example.net");
    CHECK(std::get<Converse>(step).recipients == std::vector<std::size_t>{0});
  }
}

TEST_CASE("the deadline counts and settles what the conversation under way still brought") {
  Walk walk(envelope(2));
  const Step step =
      walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}, {20, "mx2.example.net"}}));
  REQUIRE(std::holds_alternative<Converse>(step));
  auto unknown = result(smtp::Disposition::unknown, smtp::Stage::final_dot, 0);
  unknown.reply.reset();
  const Finished finished = walk.attempt.on_deadline(
      transaction({unknown, result(smtp::Disposition::not_tried, smtp::Stage::rcpt, 0)}), kNow);
  REQUIRE(finished.outcomes.size() == 2);
  CHECK(finished.outcomes[0].certainty == Certainty::maybe_delivered);
  CHECK(finished.outcomes[1].status == "4.4.7");
  CHECK(finished.sessions.size() == 1);
}

TEST_CASE("an MX host without addresses may get some: temporary; an implicit MX cannot") {
  Walk listed;
  Step step = listed.attempt.start(kNow);
  step = listed.attempt.on_mx(mx({{10, "mx1.example.net"}}), kNow);
  step = listed.attempt.on_policy(verdict(nullptr), kNow);
  step = listed.attempt.on_addresses(kNoData, kNoData, kNow);
  CHECK(only(step).result == Result::deferred);
  CHECK(only(step).status == "4.4.4");

  Walk implicit;
  step = implicit.attempt.start(kNow);
  step = implicit.attempt.on_mx(kNoData, kNow);
  step = implicit.attempt.on_policy(verdict(nullptr), kNow);
  step = implicit.attempt.on_addresses(kNoData, kNoData, kNow);
  CHECK(only(step).result == Result::failed);
}

TEST_CASE("enforce: a message that no host can take fails at once, it does not wait for days") {
  Walk walk;
  Step step =
      walk.to_hosts(verdict(policy("enforce", "*.example.net")), mx({{10, "mx1.example.net"}}));
  step = walk.report(transaction({result(smtp::Disposition::unsuitable, smtp::Stage::mail, 552)}));
  CHECK(only(step).result == Result::failed);
}

TEST_CASE("leaving after a temporary refusal does not hide what the server said") {
  Walk walk;
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx1.example.net"}}));
  SessionUsed left = transaction({result(smtp::Disposition::deferred, smtp::Stage::mail, 451)});
  left.end = smtp::SessionEnd{smtp::SessionEnd::Kind::quit, smtp::Stage::quit, std::nullopt, ""};
  step = walk.report(left);
  CHECK(only(step).text.find("451") != std::string::npos);
}

TEST_CASE("a null MX needs no policy lookup, only what is known already") {
  Walk walk;
  Step step = walk.attempt.start(kNow);
  step = walk.attempt.on_mx(mx({{0, ""}}), kNow);
  REQUIRE(std::holds_alternative<FindPolicy>(step));
  CHECK(std::get<FindPolicy>(step).freshness == Freshness::known);
  step = walk.attempt.on_policy(verdict(nullptr), kNow);
  CHECK(only(step).result == Result::failed);
}

}  // namespace
}  // namespace relay::delivery
