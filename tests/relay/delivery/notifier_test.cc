// Which notices an attempt leads to, over a real spool.
#include "relay/delivery/notifier.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/delivery/smtp_peer.h"

namespace {

using namespace std::chrono_literals;
using namespace relay::delivery;
namespace spool = relay::spool;

/// A message to a.example and b.example, of which the attempts at a.example are told of.
struct Told {
  explicit Told(const std::string& content = "Subject: hi\r\n\r\nbody\r\n") {
    envelope.sender = "s@home.example";
    envelope.received_at = world.clock.wall();
    envelope.expires_at = world.clock.wall() + 96h;
    envelope.recipients = spool::testing::envelope_to({"a.example", "b.example"}).recipients;
    store(content);
    world.clock.advance(5h);
    part = envelope;
    part.recipients.resize(1);
  }
  void store(const std::string& content) {
    auto incoming = world.spool->receive(world.loop);
    envelope.id = incoming->id();
    envelope.size = content.size();
    incoming->append(content);
    bool stored = false;
    incoming->commit(envelope,
                     [&](const spool::Stored<void>& result) { stored = result.has_value(); });
    support::run_until(world.loop, [&] { return stored; });
  }
  SettledAttempt add(Fate::Kind kind) {
    outcome.status = "4.0.0";
    outcome.text = "451 later";
    Fate fate;
    fate.kind = kind;
    fate.recipient = part.recipients.data();
    fate.outcome = &outcome;
    SettledAttempt settled;
    settled.settlement.id = envelope.id;
    settled.fates = {fate};
    notifier.add(part, settled, rules);
    return settled;
  }
  /// As the worker does it after add().
  void settle(SettledAttempt settled) {
    bool done = false;
    world.spool->settle(std::move(settled.settlement), world.loop,
                        [&](const spool::Stored<void>& result) { done = result.has_value(); });
    support::run_until(world.loop, [&] { return done; });
  }
  [[nodiscard]] std::vector<spool::Envelope> queue() {
    return world.reader->list(std::nullopt, 100).value();
  }

  support::DeliveryWorld world;
  conf::Queue queue_rules;
  conf::Notices notices;
  NoticeRules rules{"relay.example", queue_rules, notices, ""};
  spool::Envelope envelope, part;
  RecipientOutcome outcome;
  Notifier notifier{world.clock, *world.spool, *world.reader, world.log.log(), nullptr};
};

bool holds(const spool::Notice& notice, std::string_view text) {
  return notice.content.find(text) != std::string::npos;
}

TEST_CASE("a delay is told of once, of all recipients that still wait, also across a restart") {
  Told told;
  SettledAttempt first = told.add(Fate::Kind::deferred);
  SettledAttempt second = told.add(Fate::Kind::deferred);  // another worker, at the same time
  REQUIRE(first.settlement.delay_notice);
  REQUIRE(second.settlement.delay_notice);
  CHECK(holds(*first.settlement.delay_notice, "Final-Recipient: rfc822; user0@a.example"));
  CHECK(holds(*first.settlement.delay_notice, "Final-Recipient: rfc822; user1@b.example"));
  CHECK(holds(*first.settlement.delay_notice, "it was not tried yet"));
  told.settle(std::move(first));
  told.settle(std::move(second));
  const auto queue = told.queue();
  REQUIRE(queue.size() == 2);
  CHECK(queue[0].delay_told);
  CHECK(queue[1].origin == spool::Origin::notice);
  CHECK_FALSE(queue[1].delay_told);
  // The mark is on the disk; what was in memory is not asked.
  CHECK_FALSE(told.add(Fate::Kind::deferred).settlement.delay_notice);
  CHECK(told.world.log.count("kind=delayed") == 2);
}

TEST_CASE("of recipients elsewhere the delay notice says what their last attempt left") {
  Told told;
  SettledAttempt elsewhere;
  elsewhere.settlement.id = told.envelope.id;
  elsewhere.settlement.updates = {{1, spool::RecipientUpdate::Outcome::deferred,
                                   told.world.clock.wall() + 1h, "452 4.2.2 mailbox full"}};
  told.settle(std::move(elsewhere));
  const auto notice = told.add(Fate::Kind::deferred).settlement.delay_notice;
  REQUIRE(notice);
  CHECK(holds(*notice, "Status: 4.2.2\r\nDiagnostic-Code: smtp; 452 4.2.2 mailbox full\r\n"));
  CHECK(holds(*notice, "    The server said:\r\n    452 4.2.2 mailbox full\r\n"));
}

TEST_CASE("nobody is told of delays of bulk mail, unless that is wanted") {
  Told told("Precedence: bulk\r\nSubject: hi\r\n\r\nbody\r\n");
  CHECK_FALSE(told.add(Fate::Kind::deferred).settlement.delay_notice);
  told.notices.delayed_for_bulk = true;
  CHECK(told.add(Fate::Kind::deferred).settlement.delay_notice);
}

TEST_CASE("a recipient that nobody wants to hear about is not in the delay notice") {
  Told told;
  told.part.recipients[0].notify = "NEVER";
  CHECK_FALSE(told.add(Fate::Kind::deferred).settlement.delay_notice);
}

TEST_CASE("a message over the size is returned by its header, whatever RET says") {
  for (const std::uint64_t size : {std::uint64_t{10}, std::uint64_t{4096}}) {
    Told told;
    told.part.ret = "FULL";
    told.notices.return_size = size;
    const auto settled = told.add(Fate::Kind::failed);
    REQUIRE(settled.settlement.notices.size() == 1);
    CHECK(holds(settled.settlement.notices[0], "\r\nbody\r\n") == (size > 100));
  }
}

TEST_CASE("a failure without a sender goes to the postmaster, or into the log") {
  Told told;
  told.part.sender.clear();
  CHECK(told.add(Fate::Kind::failed).settlement.notices.empty());
  CHECK(told.world.log.count("event=notice-dropped") == 1);
  told.rules.postmaster = "post@home.example";
  const auto settled = told.add(Fate::Kind::failed);
  REQUIRE(settled.settlement.notices.size() == 1);
  CHECK(settled.settlement.notices[0].envelope.recipients[0].address == "post@home.example");
  NoticeTotals totals;
  told.notifier.counts().add_to(totals);
  CHECK(totals.double_bounces == 1);
  CHECK(totals.dropped_null_sender == 1);
}

TEST_CASE("the notice of an expiry names the lifetime that applied") {
  struct Row {
    std::chrono::hours domain;  // 0: it has none of its own
    std::chrono::hours life_from;
    const char* text;
  };
  for (const Row& row :
       {Row{0h, 0h, "was tried for 5 hours and"}, Row{2h, 0h, "was tried for 2 hours and"},
        Row{3h, 1h, "was tried for 3 hours and"}}) {
    CAPTURE(row.text);
    Told told;
    told.queue_rules.domains["a.example"].lifetime = row.domain;
    told.part.expires_at = told.part.received_at + 5h;
    told.part.life_from = told.part.received_at + row.life_from;
    told.outcome.status = "4.0.0";
    told.outcome.text = "451 later";
    told.outcome.index = told.part.recipients[0].index;
    Finished finished;
    finished.outcomes = {told.outcome};
    SettledAttempt settled =
        settle(told.part, finished, RetryRules::of(told.queue_rules, told.part, "a.example", 0),
               told.world.clock.wall());
    REQUIRE(settled.fates[0].kind == Fate::Kind::expired);
    told.notifier.add(told.part, settled, told.rules);
    REQUIRE(settled.settlement.notices.size() == 1);
    CHECK(holds(settled.settlement.notices[0], row.text));
  }
}

TEST_CASE("no storm of notices to one address") {
  Told told;
  told.notices.per_hour = 2;
  std::size_t notices = 0;
  for (int i = 0; i < 5; ++i) {
    notices += told.add(Fate::Kind::failed).settlement.notices.size();
  }
  CHECK(notices == 2);
  NoticeTotals totals;
  told.notifier.counts().add_to(totals);
  CHECK(totals.failed == 2);
  CHECK(totals.dropped_too_many == 3);
  CHECK(told.world.log.count("reason=notices.per_hour") == 3);
}

TEST_CASE("who asked for it hears that the message went on to a host without DSN") {
  Told told;
  told.part.recipients[0].notify = "SUCCESS";
  told.outcome.host = "mx.a.example";
  auto settled = told.add(Fate::Kind::delivered);
  REQUIRE(settled.settlement.notices.size() == 1);
  CHECK(holds(settled.settlement.notices[0], "Action: relayed"));
  told.outcome.dsn = DsnHandover::passed_on;
  CHECK(told.add(Fate::Kind::delivered).settlement.notices.empty());
}

}  // namespace
