// What operators do to messages and destinations: holds, releases, pauses; and who has how much.
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/spool/spool.h"
#include "tests/relay/spool/fixture.h"

namespace relay::spool::testing {

namespace {

using ChangeKind = MessageChange::Kind;
using std::chrono::hours;

MessageChange hold(MessageId id, net::WallTime at, const std::string& reason) {
  return {ChangeKind::hold, id, at, reason};
}

std::size_t pending(const std::string& directory) {
  std::size_t count = 0;
  REQUIRE(open_reader(directory)->each_pending([&](const PendingGroup& /*group*/) { ++count; }));
  return count;
}

/// An envelope with times that a clock could have given.
Envelope timed_envelope(const net::Clock& clock, const std::vector<std::string>& domains) {
  Envelope envelope = envelope_to(domains);
  envelope.received_at = clock.wall();
  envelope.expires_at = clock.wall() + hours(96);
  return envelope;
}

}  // namespace

TEST_CASE("held messages: not pending, counted, and still held after a restart") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  MessageId held{0};
  {
    const auto spool = open_spool(directory.spool(), clock);
    held = store(*spool, thread, timed_envelope(clock, {"a.example", "b.example"}), 10);
    store(*spool, thread, timed_envelope(clock, {"a.example"}), 10);
    CHECK(pending(directory.spool()) == 3);
    CHECK(change(*spool, thread, {hold(held, clock.wall(), "under investigation")}) ==
          std::vector<std::size_t>{2});
    CHECK(pending(directory.spool()) == 1);
  }
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  CHECK(pending(directory.spool()) == 1);
  CHECK(reader->totals()->messages == 2);
  CHECK(reader->totals()->held == 1);
  const auto envelope = *reader->envelope(held, {});
  REQUIRE(envelope);
  CHECK(envelope->held == "under investigation");
  CHECK(envelope->held_at == clock.wall());
}

TEST_CASE("held messages: released, their life goes on where the hold stopped it") {
  const TemporaryDirectory directory;
  ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto arrived = clock.wall();
  const auto id = store(*spool, thread, timed_envelope(clock, {"a.example"}), 10);
  clock.advance(hours(1));
  CHECK(change(*spool, thread, {{ChangeKind::release, id, clock.wall()}}) ==
        std::vector<std::size_t>{0});
  change(*spool, thread, {hold(id, clock.wall(), "first")});
  clock.advance(hours(100));
  change(*spool, thread, {hold(id, clock.wall(), "second")});
  CHECK((*reader->envelope(id, {}))->held == "second");
  clock.advance(hours(200));
  CHECK(change(*spool, thread, {{ChangeKind::release, id, clock.wall()}}) ==
        std::vector<std::size_t>{1});
  const auto envelope = *reader->envelope(id, {});
  CHECK(envelope->held.empty());
  CHECK(envelope->received_at == arrived);
  CHECK(envelope->expires_at == arrived + hours(96 + 300));
  CHECK(envelope->life_from == arrived + hours(300));
  CHECK(pending(directory.spool()) == 1);
}

TEST_CASE("requeue: released, attempts, life and the notice of a delay begin anew") {
  const TemporaryDirectory directory;
  ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  auto stored = timed_envelope(clock, {"a.example"});
  stored.recipients[0].attempts = 7;
  stored.delay_told = true;
  stored.eight_bit = true;
  const auto id = store(*spool, thread, stored, 10);
  change(*spool, thread, {hold(id, clock.wall(), "first")});
  clock.advance(hours(50));
  const auto now = clock.wall();
  CHECK(change(*spool, thread, {{ChangeKind::requeue, id, now, "", now, now + hours(96)}}) ==
        std::vector<std::size_t>{1});
  const auto envelope = *open_reader(directory.spool())->envelope(id, {});
  CHECK(envelope->held.empty());
  CHECK(envelope->life_from == now);
  CHECK(envelope->expires_at == now + hours(96));
  CHECK_FALSE(envelope->delay_told);
  CHECK(envelope->eight_bit);
  CHECK(envelope->recipients[0].attempts == 0);
  CHECK(envelope->recipients[0].next_try == now);
}

TEST_CASE("remove: some recipients go, the message with the last of them") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto id = store(*spool, thread, timed_envelope(clock, {"a.example", "b.example"}), 10);
  const auto removal = [&](std::vector<std::uint32_t> recipients) {
    return change(*spool, thread,
                  {{ChangeKind::remove, id, clock.wall(), "", {}, {}, std::move(recipients)}});
  };
  CHECK(removal({0, 70'000}) == std::vector<std::size_t>{1});
  REQUIRE(*reader->envelope(id, {}));
  CHECK((*reader->envelope(id, {}))->recipients.at(0).domain == "b.example");
  CHECK(removal({1}) == std::vector<std::size_t>{1});
  CHECK_FALSE(*reader->envelope(id, {}));
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM slices") == "0");
}

TEST_CASE("settle: a deferral leaves the time of the attempt") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const auto id = store(*spool, thread, timed_envelope(clock, {"a.example"}), 10);
  Settlement settlement;
  settlement.id = id;
  settlement.at = clock.wall() + hours(2);
  settlement.updates = {
      {0, RecipientUpdate::Outcome::deferred, clock.wall() + hours(3), "451 later"}};
  REQUIRE(settle(*spool, thread, settlement));
  const auto envelope = *open_reader(directory.spool())->envelope(id, {});
  CHECK(envelope->recipients[0].last_try == clock.wall() + hours(2));
  CHECK(envelope->recipients[0].attempts == 1);
}

TEST_CASE("pauses: there after a restart, with a new reason but the old moment, until removed") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const Pause all{Pause::Kind::everything, "", "incident", clock.wall(), "uid:0"};
  const Pause domain{Pause::Kind::domain, "a.example", "asked for", clock.wall(), "uid:1"};
  {
    const auto spool = open_spool(directory.spool(), clock);
    const auto save = [&](const Pause& pause) {
      return thread.ask<Stored<void>>(
          [&](auto answer) { spool->save_pause(pause, thread.loop(), answer); });
    };
    REQUIRE(save(domain));
    REQUIRE(save(all));
    auto again = domain;
    again.reason = "asked for twice";
    again.since += hours(1);
    REQUIRE(save(again));
  }
  const auto spool = open_spool(directory.spool(), clock);
  auto known = domain;
  known.reason = "asked for twice";
  CHECK(*open_reader(directory.spool())->pauses() == std::vector<Pause>{all, known});
  const auto remove = [&] {
    return thread.ask<Stored<std::size_t>>([&](auto answer) {
      spool->remove_pause(Pause::Kind::domain, "a.example", thread.loop(), answer);
    });
  };
  CHECK(remove() == std::size_t{1});
  CHECK(remove() == std::size_t{0});
  CHECK(*open_reader(directory.spool())->pauses() == std::vector<Pause>{all});
}

TEST_CASE("occupancy: messages, octets and each owner's share follow every commit and restart") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto check = [](const Spool& spool, const Occupancy::Totals& expected,
                        const std::string& owner) {
    const auto totals = spool.occupancy(owner);
    CHECK(totals.messages == expected.messages);
    CHECK(totals.octets == expected.octets);
    CHECK(totals.of_owner == expected.of_owner);
  };
  const std::string user = owner_of("app", "anyone@example.com");
  MessageId second{0};
  {
    const auto spool = open_spool(directory.spool(), clock);
    auto envelope = timed_envelope(clock, {"a.example"});
    envelope.user = "app";
    const auto first = store(*spool, thread, envelope, 100);
    second = store(*spool, thread, envelope, 30);
    const auto other = store(*spool, thread, timed_envelope(clock, {"a.example"}), 7);
    check(*spool, {3, 137, 2}, user);
    auto settlement = delivered(first);
    settlement.notices.push_back({timed_envelope(clock, {"b.example"}), "0123456789"});
    settlement.notices[0].envelope.id = spool->new_id();
    settlement.notices[0].envelope.size = 10;
    REQUIRE(settle(*spool, thread, settlement));
    check(*spool, {3, 47, 1}, user);
    change(*spool, thread, {{ChangeKind::remove, other}});
    check(*spool, {2, 40, 1}, user);
  }
  const auto spool = open_spool(directory.spool(), clock);
  check(*spool, {2, 40, 1}, user);
  change(*spool, thread, {{ChangeKind::remove, second}});
  check(*spool, {1, 10, 0}, user);
}

TEST_CASE("queue operations: a spool of the version before takes them, and keeps its mail") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  MessageId id{0};
  {
    const auto spool = open_spool(directory.spool(), clock);
    id = store(*spool, thread, timed_envelope(clock, {"a.example"}), 100);
  }
  forget_queue_operations(directory.database());
  CHECK_FALSE(SpoolReader::open(directory.spool()));
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto envelope = *reader->envelope(id, {});
  REQUIRE(envelope);
  CHECK(envelope->priority == Priority::normal);
  CHECK(envelope->user.empty());
  CHECK(envelope->held.empty());
  CHECK(envelope->life_from == envelope->received_at);
  CHECK(envelope->recipients.at(0).last_try == net::WallTime{});
  CHECK(read_content(*reader, id) == content_of(id, 100));
  CHECK(pending(directory.spool()) == 1);
  CHECK(change(*spool, thread, {hold(id, clock.wall(), "now it can be")}) ==
        std::vector<std::size_t>{1});
}

TEST_CASE("listeners: a spool of the version before takes them, and keeps its mail") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  auto envelope = timed_envelope(clock, {"a.example"});
  envelope.listener = "192.0.2.1:2525";
  envelope.user = "app";
  MessageId before{0};
  {
    const auto spool = open_spool(directory.spool(), clock);
    before = store(*spool, thread, envelope, 100);
  }
  forget_listeners(directory.database());
  CHECK_FALSE(SpoolReader::open(directory.spool()));
  const auto spool = open_spool(directory.spool(), clock);
  const auto later = store(*spool, thread, envelope, 100);
  const auto reader = open_reader(directory.spool());
  const auto kept = *reader->envelope(before, {});
  REQUIRE(kept);
  CHECK(kept->listener.empty());
  CHECK(kept->user == "app");
  CHECK(kept->life_from == envelope.received_at);
  CHECK(kept->recipients.size() == 1);
  CHECK(read_content(*reader, before) == content_of(before, 100));
  CHECK((*reader->envelope(later, {}))->listener == "192.0.2.1:2525");
  CHECK(pending(directory.spool()) == 2);
}

}  // namespace relay::spool::testing
