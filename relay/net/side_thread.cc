#include "relay/net/side_thread.h"

#include <pthread.h>
#include <sched.h>

namespace relay::net {

namespace {

/// Owns the callback on the loop's thread; without it, the answer has nobody to go to.
class Call final : public Operation::Task {
 public:
  explicit Call(std::function<void()> done)
      : done_(std::make_shared<std::function<void()>>(std::move(done))) {}
  [[nodiscard]] std::weak_ptr<std::function<void()>> done() const { return done_; }

 private:
  std::shared_ptr<std::function<void()>> done_;
};

// The callback is touched on its own thread only.
void answer(EventLoop& loop, std::weak_ptr<std::function<void()>> done) {
  loop.post([done = std::move(done)] {
    if (const auto waiting = done.lock()) {
      const auto action = std::exchange(*waiting, nullptr);
      action();
    }
  });
}

}  // namespace

Operation later(EventLoop& loop, std::function<void()> done) {
  auto call = std::make_unique<Call>(std::move(done));
  answer(loop, call->done());
  return Operation(std::move(call));
}

SideThread::~SideThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

std::size_t SideThread::waiting() const {
  const std::lock_guard lock(mutex_);
  return requests_.size();
}

Operation SideThread::start(EventLoop& loop, std::function<void()> work,
                            std::function<void()> done) {
  auto call = std::make_unique<Call>(std::move(done));
  const std::lock_guard lock(mutex_);
  requests_.push_back({&loop, std::move(work), call->done()});
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { run_all(); });
  }
  changed_.notify_one();
  return Operation(std::move(call));
}

void SideThread::run_all() {
  if (priority_ == Priority::idle) {
    const sched_param none{};
    static_cast<void>(::pthread_setschedparam(::pthread_self(), SCHED_IDLE, &none));
  }
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
      request.work();
      answer(*request.loop, std::move(request.done));
    }
    request.work = nullptr;  // what it holds ends outside of the lock
    lock.lock();
  }
}

}  // namespace relay::net
