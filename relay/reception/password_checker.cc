#include "relay/reception/password_checker.h"

#include <utility>

#include "relay/reception/password.h"

namespace relay::reception {

/// Owns the callback on the loop's thread; without it, the answer has nobody to go to.
class PasswordChecker::Call final : public net::Operation::Task {
 public:
  explicit Call(std::function<void(Answer)> done)
      : done_(std::make_shared<std::function<void(Answer)>>(std::move(done))) {}
  [[nodiscard]] std::weak_ptr<std::function<void(Answer)>> done() const { return done_; }

 private:
  std::shared_ptr<std::function<void(Answer)>> done_;
};

PasswordChecker::~PasswordChecker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
  for (Request& request : requests_) {
    wipe(request.password);
  }
}

net::Operation PasswordChecker::check(net::EventLoop& loop, std::string password, std::string hash,
                                      std::function<void(Answer)> done) {
  auto call = std::make_unique<Call>(std::move(done));
  Request request{&loop, std::move(password), std::move(hash), call->done()};
  const std::lock_guard lock(mutex_);
  if (requests_.size() < capacity_) {
    requests_.push_back(std::move(request));
    if (!thread_.joinable()) {
      thread_ = std::thread([this] { run(); });
    }
    changed_.notify_one();
  } else {
    wipe(request.password);
    answer(request, Answer::busy);
  }
  return net::Operation(std::move(call));
}

void PasswordChecker::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !requests_.empty(); });
    if (stopping_) {
      return;
    }
    Request request = std::move(requests_.front());
    requests_.pop_front();
    lock.unlock();
    if (!request.done.expired()) {
      const bool right = verify_password(request.password, request.hash);
      answer(request, right ? Answer::right : Answer::wrong);
    }
    wipe(request.password);
    lock.lock();
  }
}

// The callback is touched on its own thread only.
void PasswordChecker::answer(const Request& request, Answer answer) {
  request.loop->post([done = request.done, answer] {
    if (const auto waiting = done.lock()) {
      const auto action = std::exchange(*waiting, nullptr);
      action(answer);
    }
  });
}

}  // namespace relay::reception
