// What the spool's tests share: a directory that goes away, a loop on its own thread, messages
// whose content can be told from their id.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "relay/net/clock.h"
#include "relay/net/event_loop.h"
#include "relay/spool/spool.h"
#include "relay/spool/spool_reader.h"

namespace relay::spool::testing {

class TemporaryDirectory {
 public:
  /// memory: not on a disk, where the system has such a place. What reaches a disk is proved by the
  /// record of its syncs; waiting for them proves nothing.
  enum class Place { disk, memory };
  explicit TemporaryDirectory(Place place = Place::memory);
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  /// A name in it that does not exist yet.
  [[nodiscard]] std::string spool() const { return path_ + "/spool"; }
  [[nodiscard]] std::string database() const { return spool() + "/spool.db"; }

 private:
  std::string path_;
};

class ManualClock final : public net::Clock {
 public:
  [[nodiscard]] net::WallTime wall() const override { return net::WallTime(wall_.load()); }
  [[nodiscard]] net::SteadyTime steady() const override { return net::SteadyTime(steady_.load()); }
  void set_wall(net::WallTime time) { wall_ = time.time_since_epoch(); }
  void advance(std::chrono::milliseconds by) {
    wall_ = wall_.load() + by;
    steady_ = steady_.load() + by;
  }

 private:
  std::atomic<std::chrono::milliseconds> wall_{std::chrono::milliseconds(1'770'000'000'000)};
  std::atomic<net::SteadyTime::duration> steady_{std::chrono::hours(1)};
};

/// A loop running on a thread of its own.
class LoopThread {
 public:
  LoopThread();
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;
  net::EventLoop& loop() { return loop_; }
  /// Runs action on the loop and returns what it hands to its callback.
  template <class Result>
  Result ask(const std::function<void(std::function<void(Result)>)>& action) {
    auto promise = std::make_shared<std::promise<Result>>();
    loop_.post([&action, promise] {
      action([promise](Result result) { promise->set_value(std::move(result)); });
    });
    return promise->get_future().get();
  }

 private:
  net::EventLoop loop_;
  std::thread thread_;
};

[[nodiscard]] SpoolOptions options_for(const std::string& directory, const std::string& vfs = {});
[[nodiscard]] std::unique_ptr<Spool> open_spool(const SpoolOptions& options,
                                                const net::Clock& clock);
[[nodiscard]] std::unique_ptr<Spool> open_spool(const std::string& directory,
                                                const net::Clock& clock);
[[nodiscard]] std::unique_ptr<SpoolReader> open_reader(const std::string& directory);

/// An envelope with one recipient per domain.
[[nodiscard]] Envelope envelope_to(const std::vector<std::string>& domains);
/// Content that only this message has.
[[nodiscard]] std::string content_of(MessageId id, std::size_t size);
/// Size of the content of a message of the crash tests; a few are several slices long.
[[nodiscard]] std::size_t size_of(MessageId id);

/// On the loop: stores content_of(id, size) with the envelope; size 0: size_of(id).
void store_on_loop(Spool& spool, net::EventLoop& loop, Envelope envelope, std::size_t size,
                   std::function<void(MessageId, Stored<void>)> done);
/// From elsewhere: the same, waiting for the answer. Fails the test unless stored.
MessageId store(Spool& spool, LoopThread& thread, const Envelope& envelope, std::size_t size);
/// Stores so many messages to one recipient each, handed over at once; ids in order of arrival.
std::vector<MessageId> store_many(Spool& spool, LoopThread& thread, std::size_t count);
Stored<void> settle(Spool& spool, LoopThread& thread, const Settlement& settlement);

/// The message's slices joined; fails the test at a fault.
[[nodiscard]] std::string read_content(SpoolReader& reader, MessageId id);
/// Whether the message is there, with its envelope and all of content_of(id, size_of(id)).
[[nodiscard]] bool is_whole(SpoolReader& reader, MessageId id);

/// A settlement that delivers a message to its only recipient over one session.
[[nodiscard]] Settlement delivered(MessageId id);
/// One successful session of a policy domain.
[[nodiscard]] rpt::SessionResult session(const std::string& domain);
/// A day that session() falls on.
[[nodiscard]] std::chrono::sys_days session_day();
/// The successful sessions counted for that day.
[[nodiscard]] std::uint64_t sessions_counted(SpoolReader& reader);

/// Runs SQL on a database and returns the first column of the first row as text.
std::string run_sql(const std::string& database, const std::string& sql);
/// Changes messages from elsewhere; answers as Spool::change() does.
std::vector<std::size_t> change(Spool& spool, LoopThread& thread,
                                const std::vector<MessageChange>& changes);
/// Takes a closed spool back to what version 7 made.
void forget_listeners(const std::string& database);
/// Takes a closed spool back to what version 6 made.
void forget_client_holds(const std::string& database);
/// Takes a closed spool back to what version 5 made.
void forget_queue_operations(const std::string& database);
/// Takes a closed spool back to what version 4 made.
void forget_reports(const std::string& database);

}  // namespace relay::spool::testing
