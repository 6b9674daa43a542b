#include "relay/spool/request_queue.h"

#include <utility>

#include "relay/spool/answers.h"

namespace relay::spool {

namespace {

constexpr std::size_t kRequestsPerGroup = 1024;
constexpr std::size_t kOctetsPerGroup = 4UL << 20;

std::size_t octets(const Request& request) {
  if (const auto* write = std::get_if<WriteSlice>(&request)) {
    return write->slice.octets.size();
  }
  if (const auto* commit = std::get_if<CommitMessage>(&request)) {
    return commit->last ? commit->last->octets.size() : 0;
  }
  return 0;
}

}  // namespace

void RequestQueue::submit(Request request) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      requests_.push_back(std::move(request));
      if (waiting_) {
        waiting_ = false;
        arrived_.notify_one();
      }
      return;
    }
  }
  Answers answers;
  answers.refused(request, {StoreFault::Kind::closed, "the spool is closed"});
  answers.post();
}

std::vector<Request> RequestQueue::take(std::optional<std::chrono::milliseconds> patience) {
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return !requests_.empty() || closed_; };
  if (!ready()) {
    waiting_ = true;
    if (patience) {
      arrived_.wait_for(lock, *patience, ready);
    } else {
      arrived_.wait(lock, ready);
    }
    waiting_ = false;
  }
  std::vector<Request> group;
  std::size_t size = 0;
  while (!requests_.empty() && group.size() < kRequestsPerGroup && size < kOctetsPerGroup) {
    size += octets(requests_.front());
    group.push_back(std::move(requests_.front()));
    requests_.pop_front();
  }
  return group;
}

void RequestQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  arrived_.notify_one();
}

bool RequestQueue::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

}  // namespace relay::spool
