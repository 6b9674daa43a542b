#include "relay/net/call_queue.h"

#include <chrono>
#include <utility>

namespace relay::net {

CallQueue::CallQueue(EventLoop& loop) : soon_(loop, [this] { run_calls(); }) {}

CallQueue::Ticket CallQueue::push(std::function<void()> call) {
  if (calls_.empty()) {
    soon_.start(std::chrono::milliseconds(0));
  }
  return calls_.insert(calls_.end(), std::move(call));
}

void CallQueue::run_calls() {
  const std::weak_ptr<const bool> alive = alive_;
  // Calls pushed by calls wait for the next round: the loop has other work, too.
  for (std::size_t batch = calls_.size(); batch > 0; --batch) {
    const auto call = std::move(calls_.front());
    calls_.pop_front();
    call();
    if (alive.expired() || calls_.empty()) {
      return;
    }
  }
  if (!calls_.empty()) {
    soon_.start(std::chrono::milliseconds(0));
  }
}

}  // namespace relay::net
