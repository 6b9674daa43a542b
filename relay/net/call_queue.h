// Calls that wait for the loop's next round, so that none runs inside the call that caused it.
// Each can be withdrawn; a call may destroy the queue.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "relay/net/event_loop.h"

namespace relay::net {

class CallQueue {
 public:
  using Calls = std::list<std::function<void()>>;
  using Ticket = Calls::iterator;

  explicit CallQueue(EventLoop& loop);

  Ticket push(std::function<void()> call);
  /// ticket: of a call that has not begun.
  void withdraw(Ticket ticket) { calls_.erase(ticket); }

 private:
  void run_calls();

  Calls calls_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  Timer soon_;
};

}  // namespace relay::net
