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
  /// the first request; empty: the patience ran out, or the queue was closed.
  [[nodiscard]] std::vector<Request> take(std::optional<std::chrono::milliseconds> patience);
  void close();
  [[nodiscard]] bool closed() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Request> requests_;
  bool waiting_ = false;
  bool closed_ = false;
};

}  // namespace relay::spool
