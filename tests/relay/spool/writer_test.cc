// What the spool thread does when a group cannot be stored: a foreign lock, a disk that fails while
// room is being made; and what may arrive before its observer is set.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <numeric>
#include <thread>

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "tests/relay/spool/fixture.h"
#include "tests/relay/spool/test_vfs.h"

namespace relay::spool::testing {

namespace {

/// The write lock of a spool's database, held as an operator's own sqlite3 session holds it.
class ForeignLock {
 public:
  explicit ForeignLock(const std::string& database) {
    REQUIRE(sqlite3_open(database.c_str(), &handle_) == SQLITE_OK);
    REQUIRE(sqlite3_exec(handle_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  ~ForeignLock() { sqlite3_close(handle_); }
  ForeignLock(const ForeignLock&) = delete;
  ForeignLock& operator=(const ForeignLock&) = delete;

 private:
  sqlite3* handle_ = nullptr;
};

/// Hands over a settlement for each message; answer: how many were stored.
std::shared_future<int> settle_all(Spool& spool, LoopThread& thread,
                                   const std::vector<MessageId>& ids) {
  auto stored = std::make_shared<std::promise<int>>();
  auto counts = std::make_shared<std::pair<std::size_t, int>>(ids.size(), 0);
  for (const auto id : ids) {
    spool.settle(delivered(id), thread.loop(), [=](const Stored<void>& result) {
      counts->second += result ? 1 : 0;
      if (--counts->first == 0) {
        stored->set_value(counts->second);
      }
    });
  }
  return stored->get_future().share();
}

}  // namespace

TEST_CASE("a foreign lock is waited for once a group, which is then refused as a whole") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  TestVfs vfs("locked");
  std::atomic<std::int64_t> waited{0};
  std::promise<void> handed_over;
  const auto gate = handed_over.get_future().share();
  vfs.set_sleep([&](std::chrono::microseconds time) {
    gate.wait();
    waited += time.count();
  });
  const auto spool = open_spool(options_for(directory.spool(), vfs.name()), clock);
  const auto ids = store_many(*spool, thread, 20);
  {
    const ForeignLock lock(directory.database());
    // The spool thread may begin with any number of them; the rest makes a second group.
    const auto stored = settle_all(*spool, thread, ids);
    handed_over.set_value();
    CHECK(stored.get() == 0);
    CHECK(std::chrono::microseconds(waited) <= std::chrono::seconds(2 * 30));
    CHECK(std::chrono::microseconds(waited) > std::chrono::seconds(0));
    CHECK_FALSE(spool->failed());
  }
  CHECK(settle_all(*spool, thread, ids).get() == 20);
}

TEST_CASE("a disk that fails while room is being made stores nothing more, not even that group") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  TestVfs vfs("failing_checkpoint");
  const auto spool = open_spool(options_for(directory.spool(), vfs.name()), clock);
  const auto ids = store_many(*spool, thread, 20);
  // The log is to be moved into the main file, which cannot be written; then there is room again.
  vfs.set_main_write([&vfs] {
    vfs.set_room(1 << 30);
    return false;
  });
  vfs.set_room(0);
  const auto refused = thread.ask<Stored<void>>([&](auto answer) {
    store_on_loop(*spool, thread.loop(), envelope_to({"example.com"}), 20'000,
                  [answer](MessageId, const Stored<void>& result) { answer(result); });
  });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == StoreFault::Kind::io_error);
  CHECK(spool->failed());
  CHECK_FALSE(settle(*spool, thread, delivered(ids[0])));
}

TEST_CASE("the log on disk stays small however long mail keeps coming") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  auto options = options_for(directory.spool());
  options.checkpoint_pages = 50;
  const auto spool = open_spool(options, clock);
  for (int i = 0; i < 200; ++i) {
    const auto id = store(*spool, thread, envelope_to({"example.com"}), 60'000);
    REQUIRE(settle(*spool, thread, delivered(id)));
  }
  // More than 200 times 60 KB went through it; a page has 8 KiB.
  CHECK(std::filesystem::file_size(directory.spool() + "/spool.db-wal") < 200 * 8192);
}

TEST_CASE("every commit's time is counted, by bounds that suit a disk") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const Spool::Statistics before = spool->statistics();
  store(*spool, thread, envelope_to({"a.example"}), 10);
  store(*spool, thread, envelope_to({"a.example"}), 10);
  const Spool::Statistics after = spool->statistics();
  const auto number = [](const Spool::Statistics& of) {
    return std::accumulate(of.commit_times.counts.begin(), of.commit_times.counts.end(),
                           std::uint64_t{0});
  };
  CHECK(after.commits >= before.commits + 2);
  CHECK(number(after) == after.commits);
  CHECK(after.commit_times.seconds > before.commit_times.seconds);
}

TEST_CASE("the observer may be set after requests that carry no message") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  std::atomic<int> observed{0};
  // As at a start with an expired policy: it is forgotten before anyone observes.
  spool->forget_policy("expired.example");
  while (spool->statistics().commits == 0) {
    std::this_thread::yield();
  }
  spool->set_stored_observer([&](const std::shared_ptr<const Envelope>&) { ++observed; });
  static_cast<void>(store_many(*spool, thread, 3));
  CHECK(observed == 3);
}

}  // namespace relay::spool::testing
