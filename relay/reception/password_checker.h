// Checks passwords on a thread of its own, because their hashes are slow on purpose; one thread, so
// that guessing never takes more than one core. Threading: check() may be called from any event
// loop, its answer comes on that loop.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "relay/net/event_loop.h"
#include "relay/net/operation.h"

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
  /// Checks that wait are dropped without an answer.
  ~PasswordChecker();
  PasswordChecker(const PasswordChecker&) = delete;
  PasswordChecker& operator=(const PasswordChecker&) = delete;

  /// Takes the password and wipes it after use. loop outlives the checker.
  net::Operation check(net::EventLoop& loop, std::string password, std::string hash,
                       std::function<void(Answer)> done);

 private:
  class Call;
  struct Request {
    net::EventLoop* loop;
    std::string password, hash;
    std::weak_ptr<std::function<void(Answer)>> done;
  };

  void run();
  static void answer(const Request& request, Answer answer);

  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request> requests_;
  bool stopping_ = false;
  std::thread thread_;  // started by the first check
};

}  // namespace relay::reception
