// Work that keeps a processor busy for longer than a loop may wait, on a thread of its own; one
// thread, so that it never takes more than one core. Threading: run() may be called from any event
// loop, its answer comes on that loop.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "relay/net/event_loop.h"
#include "relay/net/operation.h"

namespace relay::net {

/// Calls done on the loop, soon: for an answer that is known at once.
Operation later(EventLoop& loop, std::function<void()> done);

class SideThread {
 public:
  enum class Priority {
    usual,
    idle,  ///< gets what the other threads of the machine leave, as far as the system lets us
  };

  explicit SideThread(Priority priority) : priority_(priority) {}
  /// Work that waits is dropped without an answer.
  ~SideThread();
  SideThread(const SideThread&) = delete;
  SideThread& operator=(const SideThread&) = delete;

  /// In the order of the calls: work on the thread, then done with its result on the loop, which
  /// outlives the thread. Cancelled work may run nevertheless, if it had begun.
  template <class Work, class Done>
  Operation run(EventLoop& loop, Work work, Done done) {
    using Result = decltype(work());
    const auto result = std::make_shared<std::shared_ptr<Result>>();
    return start(
        loop,
        [result, work = std::move(work)]() mutable { *result = std::make_shared<Result>(work()); },
        [result, done = std::move(done)]() mutable { done(std::move(**result)); });
  }

  /// How much work waits, that being done not counted.
  [[nodiscard]] std::size_t waiting() const;

 private:
  struct Request {
    EventLoop* loop;
    std::function<void()> work;
    std::weak_ptr<std::function<void()>> done;
  };

  Operation start(EventLoop& loop, std::function<void()> work, std::function<void()> done);
  void run_all();

  const Priority priority_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> requests_;
  bool stopping_ = false;
  std::thread thread_;  // started by the first call
};

}  // namespace relay::net
