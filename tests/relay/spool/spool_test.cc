#include "relay/spool/spool.h"

#include <algorithm>
#include <future>
#include <limits>

#include <doctest/doctest.h>

#include "tests/relay/spool/fixture.h"

namespace relay::spool::testing {

namespace {

constexpr std::size_t kOctets = 50'000'000;
constexpr std::size_t kLimit = 4UL * 65536;

Envelope full_envelope() {
  auto envelope = envelope_to({"example.com", "example.net", "example.com"});
  envelope.received_at = net::WallTime(std::chrono::milliseconds(1'770'000'000'123));
  envelope.expires_at = net::WallTime(std::chrono::milliseconds(1'770'345'600'123));
  envelope.eight_bit = true;
  envelope.tls = MessageTls::required;
  envelope.ret = "HDRS";
  envelope.envid = "QQ314159+2B";
  envelope.client_ip = "2001:db8::1";
  envelope.client_helo = "client.example";
  envelope.user = "newsletter";
  envelope.listener = "192.0.2.1:2525";
  envelope.priority = Priority::bulk;
  envelope.held = "too many messages";
  envelope.held_at = envelope.received_at;
  envelope.life_from = envelope.received_at;
  envelope.recipients[0].last_try = net::WallTime(std::chrono::milliseconds(1'770'000'000'999));
  envelope.recipients[1].notify = "FAILURE,DELAY";
  envelope.recipients[1].orcpt = "rfc822;User1@example.net";
  return envelope;
}

void check_equal(const Envelope& left, const Envelope& right) {
  CHECK(left.origin == right.origin);
  CHECK(left.sender == right.sender);
  CHECK(left.received_at == right.received_at);
  CHECK(left.expires_at == right.expires_at);
  CHECK(left.eight_bit == right.eight_bit);
  CHECK(left.smtputf8 == right.smtputf8);
  CHECK(left.tls == right.tls);
  CHECK(left.ret == right.ret);
  CHECK(left.envid == right.envid);
  CHECK(left.client_ip == right.client_ip);
  CHECK(left.client_helo == right.client_helo);
  CHECK(left.user == right.user);
  CHECK(left.listener == right.listener);
  CHECK(left.priority == right.priority);
  CHECK(left.held == right.held);
  CHECK(left.held_at == right.held_at);
  CHECK(left.life_from == right.life_from);
  REQUIRE(left.recipients.size() == right.recipients.size());
  for (std::size_t n = 0; n < left.recipients.size(); ++n) {
    const auto& a = left.recipients[n];
    const auto& b = right.recipients[n];
    CHECK(a.index == b.index);
    CHECK(a.address == b.address);
    CHECK(a.domain == b.domain);
    CHECK(a.notify == b.notify);
    CHECK(a.orcpt == b.orcpt);
    CHECK(a.attempts == b.attempts);
    CHECK(a.next_try == b.next_try);
    CHECK(a.last_result == b.last_result);
    CHECK(a.last_try == b.last_try);
  }
}

/// Keeps the spool thread busy until released, so that what is handed over meanwhile is one group.
class BusySpool {
 public:
  BusySpool(Spool& spool, LoopThread& thread) : spool_(spool), thread_(thread) {
    spool.set_stored_observer([this](const std::shared_ptr<const Envelope>&) {
      if (!std::exchange(held_, true)) {
        reached_.set_value();
        released_.get_future().wait();
      }
    });
    thread.loop().post([this] {
      store_on_loop(spool_, thread_.loop(), envelope_to({"example.com"}), 10,
                    [](MessageId, const Stored<void>&) {});
    });
    reached_.get_future().wait();
  }
  void release() { released_.set_value(); }

 private:
  Spool& spool_;
  LoopThread& thread_;
  bool held_ = false;
  std::promise<void> reached_;
  std::promise<void> released_;
};

}  // namespace

TEST_CASE("spool: envelope, recipients and content are read back as they were stored") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  std::vector<MessageId> ids;
  const std::vector<std::size_t> sizes = {1, 4096, 65536, 65537, 200'000};
  {
    const auto spool = open_spool(directory.spool(), clock);
    for (const auto size : sizes) {
      ids.push_back(store(*spool, thread, full_envelope(), size));
      REQUIRE(ids.back() != MessageId(0));
    }
  }
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  for (std::size_t n = 0; n < ids.size(); ++n) {
    const auto envelope = reader->envelope(ids[n], {});
    REQUIRE(envelope);
    REQUIRE(*envelope);
    check_equal(**envelope, full_envelope());
    CHECK((*envelope)->id == ids[n]);
    CHECK((*envelope)->size == sizes[n]);
    CHECK(read_content(*reader, ids[n]) == content_of(ids[n], sizes[n]));
  }
  const auto totals = reader->totals();
  REQUIRE(totals);
  CHECK(totals->messages == 5);
  CHECK(totals->recipients == 15);
  CHECK(totals->octets == 1 + 4096 + 65536 + 65537 + 200'000);
  CHECK(totals->oldest == full_envelope().received_at);
}

TEST_CASE("spool: recipients of one domain, pending groups and pages of the list") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  auto envelope = full_envelope();
  envelope.held.clear();
  envelope.recipients[0].next_try = net::WallTime(std::chrono::seconds(50));
  envelope.recipients[2].next_try = net::WallTime(std::chrono::seconds(40));
  const auto first = store(*spool, thread, envelope, 10);
  const auto second = store(*spool, thread, envelope_to({"example.org"}), 10);
  const auto reader = open_reader(directory.spool());
  CHECK((*reader->envelope(first, "example.com"))->recipients.size() == 2);
  CHECK((*reader->envelope(first, "example.net"))->recipients.at(0).index == 1);
  CHECK_FALSE(*reader->envelope(MessageId(7), {}));
  CHECK_FALSE(*reader->envelope(MessageId(std::numeric_limits<std::int64_t>::max()), {}));

  std::vector<PendingGroup> groups;
  REQUIRE(reader->each_pending([&](PendingGroup group) { groups.push_back(std::move(group)); }));
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].id == first);
  CHECK(groups[0].domain == "example.com");
  CHECK(groups[0].next_try == net::WallTime(std::chrono::seconds(40)));
  CHECK(groups[1].domain == "example.net");
  CHECK(groups[1].listener == "192.0.2.1:2525");
  CHECK(groups[2].id == second);
  CHECK(groups[2].listener.empty());

  const auto page = reader->list(std::nullopt, 1);
  REQUIRE(page);
  REQUIRE(page->size() == 1);
  CHECK(page->at(0).id == first);
  CHECK(page->at(0).recipients.size() == 3);
  CHECK(reader->list(first, 10)->at(0).id == second);
  CHECK(reader->list(second, 10)->empty());
}

TEST_CASE("spool: what arrives during a commit shares the next one, and is answered after it") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  BusySpool busy(*spool, thread);
  const auto commits = spool->statistics().commits;
  const auto reader = open_reader(directory.spool());
  const auto visible = thread.ask<int>([&](auto answer) {
    auto left = std::make_shared<int>(20);
    auto seen = std::make_shared<int>(0);
    for (int n = 0; n < 20; ++n) {
      store_on_loop(*spool, thread.loop(), envelope_to({"example.com"}), 4096,
                    [&, answer, left, seen](MessageId id, const Stored<void>& result) {
                      *seen += result && *reader->envelope(id, {}) ? 1 : 0;
                      if (--*left == 0) {
                        answer(*seen);
                      }
                    });
    }
    busy.release();
  });
  CHECK(visible == 20);
  CHECK(spool->statistics().commits == commits + 1);
}

TEST_CASE("spool: the observer sees each message and notice before its answer is given") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  std::mutex mutex;
  std::vector<std::pair<MessageId, Origin>> seen;
  spool->set_stored_observer([&](const std::shared_ptr<const Envelope>& envelope) {
    const std::lock_guard lock(mutex);
    seen.emplace_back(envelope->id, envelope->origin);
  });
  const auto id = store(*spool, thread, envelope_to({"example.com"}), 10);
  Notice notice{envelope_to({"example.org"}), "Subject: failed\r\n\r\n"};
  notice.envelope.id = spool->new_id();
  notice.envelope.origin = Origin::notice;
  auto settlement = delivered(id);
  settlement.notices = {notice};
  REQUIRE(settle(*spool, thread, settlement));
  const std::lock_guard lock(mutex);
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == std::pair(id, Origin::submitted));
  CHECK(seen[1] == std::pair(notice.envelope.id, Origin::notice));
}

TEST_CASE("settle: delivered and failed recipients go, deferred ones stay, with their reason") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto id = store(*spool, thread, full_envelope(), 100'000);
  const net::WallTime later{std::chrono::seconds(1'770'000'060)};
  using Outcome = RecipientUpdate::Outcome;
  REQUIRE(
      settle(*spool, thread,
             {id,
              {{0, Outcome::delivered, {}, "250"}, {1, Outcome::deferred, later, "451 try again"}},
              {},
              {}}));
  REQUIRE(settle(*spool, thread, {id, {{1, Outcome::deferred, later, "452 again"}}, {}, {}}));
  auto envelope = *reader->envelope(id, {});
  REQUIRE(envelope);
  REQUIRE(envelope->recipients.size() == 2);
  CHECK(envelope->recipients[0].index == 1);
  CHECK(envelope->recipients[0].attempts == 2);
  CHECK(envelope->recipients[0].next_try == later);
  CHECK(envelope->recipients[0].last_result == "452 again");
  CHECK(envelope->recipients[1].index == 2);
  CHECK(envelope->recipients[1].attempts == 0);
  CHECK(read_content(*reader, id).size() == 100'000);

  // The last recipients end the message; what the bounce says is in the same transaction.
  Notice notice{envelope_to({"example.org"}), content_of(id, 150'000)};
  notice.envelope.id = spool->new_id();
  notice.envelope.origin = Origin::notice;
  REQUIRE(settle(*spool, thread,
                 {id,
                  {{1, Outcome::failed, {}, "550 no"}, {2, Outcome::delivered, {}, "250"}},
                  {notice},
                  {}}));
  CHECK_FALSE(*reader->envelope(id, {}));
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM messages") == "1");
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM slices") == "3");
  CHECK((*reader->envelope(notice.envelope.id, {}))->origin == Origin::notice);
  CHECK(read_content(*reader, notice.envelope.id) == notice.content);
}

TEST_CASE("settle: a large message's slices are all gone in the end") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  {
    const auto spool = open_spool(directory.spool(), clock);
    const auto id = store(*spool, thread, envelope_to({"example.com"}), 5'000'000);
    REQUIRE(settle(*spool, thread, delivered(id)));
    CHECK_FALSE(*open_reader(directory.spool())->envelope(id, {}));
    // Each commit takes some more of them.
    for (int n = 0; n < 5; ++n) {
      REQUIRE(settle(*spool, thread, delivered(id)));
    }
  }
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM slices") == "0");
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM loose_slices") == "0");
}

TEST_CASE("settle: what an operator removed meanwhile is no error") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto id = store(*spool, thread, full_envelope(), 300);
  const MessageId impossible(std::numeric_limits<std::int64_t>::max());
  const auto remove = MessageChange::Kind::remove;
  CHECK(change(*spool, thread, {{remove, id}, {remove, id}, {remove, impossible}}) ==
        std::vector<std::size_t>{3, 0, 0});
  auto settlement = delivered(id);
  settlement.notices.push_back({envelope_to({"example.net"}), "told to nobody"});
  settlement.notices[0].envelope.id = spool->new_id();
  CHECK(settle(*spool, thread, settlement));
  CHECK(reader->totals()->messages == 0);
  CHECK(sessions_counted(*reader) == 1);
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM slices") == "0");
  // A reader in the middle of the content must not take the rest for absent.
  CHECK_FALSE(reader->slice(id, 1));
}

TEST_CASE("retry: makes every recipient due at the time given") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const auto id = store(*spool, thread, full_envelope(), 300);
  const net::WallTime due{std::chrono::seconds(99)};
  CHECK(change(*spool, thread, {{MessageChange::Kind::retry, id, due}}) ==
        std::vector<std::size_t>{3});
  const auto envelope = *open_reader(directory.spool())->envelope(id, {});
  CHECK(std::all_of(envelope->recipients.begin(), envelope->recipients.end(),
                    [&](const Recipient& recipient) { return recipient.next_try == due; }));
}

TEST_CASE("receive: a message given up leaves nothing behind") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  thread.ask<int>([&](auto answer) {
    const auto message = spool->receive(thread.loop());
    for (int n = 0; n < 40; ++n) {
      message->append(std::string(65536, 'x'));
    }
    answer(0);
  });
  // Its removal is in the queue before this one, and repeats itself at once.
  for (int n = 0; n < 5; ++n) {
    REQUIRE(store(*spool, thread, envelope_to({"example.com"}), 1) != MessageId(0));
  }
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM slices") == "5");
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM loose_slices") == "0");
}

TEST_CASE("receive: slices that never got their commit are removed at the next start") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  std::shared_ptr<IncomingMessage> message;
  {
    const auto spool = open_spool(directory.spool(), clock);
    thread.ask<int>([&](auto answer) {
      message = spool->receive(thread.loop());
      for (int n = 0; n < 5; ++n) {
        message->append(std::string(65536, 'x'));
      }
      answer(0);
    });
  }
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM slices") == "4");
  const auto refused = thread.ask<Stored<void>>([&](auto answer) {
    auto envelope = envelope_to({"example.com"});
    envelope.id = message->id();
    message->commit(std::move(envelope), answer);
  });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == StoreFault::Kind::closed);
  const auto spool = open_spool(directory.spool(), clock);
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM slices") == "0");
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM messages") == "0");
}

TEST_CASE("receive: 50 MB pass with no more than a few slices in memory") {
  const TemporaryDirectory directory(TemporaryDirectory::Place::disk);
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  std::size_t peak = 0;
  const auto result = thread.ask<Stored<void>>([&](auto answer) {
    std::shared_ptr<IncomingMessage> message = spool->receive(thread.loop());
    auto left = std::make_shared<std::size_t>(kOctets);
    const auto feed = [&peak, message, left, answer] {
      while (*left > 0 && message->unwritten() < kLimit) {
        const auto octets = std::min<std::size_t>(*left, 16384);
        *left -= octets;
        message->append(std::string(octets, 'm'));
        peak = std::max(peak, message->unwritten());
      }
      if (*left == 0) {
        *left = std::numeric_limits<std::size_t>::max();
        auto envelope = envelope_to({"example.com"});
        envelope.id = message->id();
        envelope.size = kOctets;
        message->commit(std::move(envelope), [message, answer](const Stored<void>& stored) {
          message->set_drained(nullptr);
          answer(stored);
        });
      }
    };
    message->set_drained([feed, left] {
      if (*left != std::numeric_limits<std::size_t>::max()) {
        feed();
      }
    });
    feed();
  });
  REQUIRE(result);
  CHECK(peak <= kLimit);
  CHECK(run_sql(directory.database(), "SELECT sum(length(content)) FROM slices") == "50000000");
}

}  // namespace relay::spool::testing
