// Checks passwords on a thread of its own, because their hashes are slow on purpose; one thread, so
// that guessing never takes more than one core. Threading: check() may be called from any event
// loop, its answer comes on that loop.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "relay/net/event_loop.h"
#include "relay/net/operation.h"
#include "relay/net/side_thread.h"

namespace relay::reception {

class PasswordChecker {
 public:
  enum class Answer {
    right,
    wrong,
    busy,  ///< too many wait already
  };

  /// waiting: how many checks may wait.
  explicit PasswordChecker(std::size_t waiting = 100) : capacity_(waiting) {}

  /// Takes the password and wipes it after use. loop outlives the checker, which drops checks that
  /// wait at its end without an answer.
  net::Operation check(net::EventLoop& loop, std::string password, std::string hash,
                       std::function<void(Answer)> done);

 private:
  const std::size_t capacity_;
  net::SideThread thread_{net::SideThread::Priority::usual};
};

}  // namespace relay::reception
