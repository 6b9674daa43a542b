#include "relay/spool/request_queue.h"

#include <utility>

#include "relay/spool/answers.h"

namespace relay::spool {

namespace {

constexpr std::size_t kRequestsPerGroup = 1024;
constexpr std::size_t kOctetsPerGroup = 4UL << 20;
// Measured: with more in a group, mail waits for its commit and for what follows from so many
// answers at once; with fewer, for the disk. So it is 2,300 a second at most, 750 reports or so.
constexpr std::size_t kReportsPerGroup = 7;
constexpr std::chrono::milliseconds kGather{3};

std::size_t octets(const Request& request) {
  if (const auto* write = std::get_if<WriteSlice>(&request)) {
    return write->slice.octets.size();
  }
  if (const auto* commit = std::get_if<CommitMessage>(&request)) {
    return commit->last ? commit->last->octets.size() : 0;
  }
  return 0;
}

/// Of a report, or of a mail that carries one: nobody waits for it.
bool is_of_reporting(const Request& request) {
  const auto* settle = std::get_if<Settle>(&request);
  return std::holds_alternative<WriteReport>(request) ||
         (settle != nullptr && settle->settlement.report);
}

void move_front(std::deque<Request>& from, std::vector<Request>& to) {
  to.push_back(std::move(from.front()));
  from.pop_front();
}

}  // namespace

void RequestQueue::submit(Request request) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      const bool later = is_of_reporting(request);
      const bool joins = later && !reports_.empty();  // others that are waited for already
      if (later && !joins) {
        reports_due_ = std::chrono::steady_clock::now() + kGather;
      }
      (later ? reports_ : requests_).push_back(std::move(request));
      if (waiting_ && !joins) {
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

bool RequestQueue::gathered() const {
  return !reports_.empty() && (closed_ || std::chrono::steady_clock::now() >= reports_due_);
}

std::vector<Request> RequestQueue::take(std::optional<std::chrono::milliseconds> patience) {
  std::unique_lock lock(mutex_);
  const auto end =
      patience ? std::optional(std::chrono::steady_clock::now() + *patience) : std::nullopt;
  while (requests_.empty() && !gathered() && !closed_) {
    waiting_ = true;
    const auto until = reports_.empty() ? end : reports_due_;
    if (!until) {
      arrived_.wait(lock);
    } else if (arrived_.wait_until(lock, *until) == std::cv_status::timeout && reports_.empty()) {
      break;
    }
  }
  waiting_ = false;
  std::vector<Request> group;
  std::size_t size = 0;
  while (!requests_.empty() && group.size() < kRequestsPerGroup && size < kOctetsPerGroup) {
    size += octets(requests_.front());
    move_front(requests_, group);
  }
  if (gathered()) {
    for (std::size_t i = 0; i < kReportsPerGroup && !reports_.empty(); ++i) {
      move_front(reports_, group);
    }
    reports_due_ = std::chrono::steady_clock::now() + kGather;
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
