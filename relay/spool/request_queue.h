// Requests on their way to the spool thread.
// Threading: submit() and close() from any thread, take() from the spool thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "relay/spool/requests.h"

namespace relay::spool {

class RequestQueue {
 public:
  /// After close(), the request is answered with StoreFault::Kind::closed.
  void submit(Request request);
  /// Takes the next group: all that has arrived, up to a bound that keeps a commit short. Waits for
  /// the first request; empty: the patience ran out, or the queue was closed. What reporting wants
  /// written is gathered for some milliseconds first: many small commits would keep the disk from
  /// those that a client waits for.
  [[nodiscard]] std::vector<Request> take(std::optional<std::chrono::milliseconds> patience);
  void close();
  [[nodiscard]] bool closed() const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  [[nodiscard]] bool gathered() const;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Request> requests_;
  std::deque<Request> reports_;  ///< of reporting
  Time reports_due_{};           ///< when they have waited long enough, if there are any
  bool waiting_ = false;
  bool closed_ = false;
};

}  // namespace relay::spool
