#include "relay/delivery/notice_limit.h"

#include <chrono>

namespace relay::delivery {
namespace {

/// So many addresses are counted; of further ones nobody has got many yet.
constexpr std::size_t kAddresses = 100'000;

}  // namespace

bool NoticeLimit::take(const std::string& address, int per_hour, net::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (now - since_ >= std::chrono::hours(1)) {
    since_ = now;
    counts_.clear();
  }
  if (counts_.size() >= kAddresses && !counts_.contains(address)) {
    return true;
  }
  int& count = counts_[address];
  if (count >= per_hour) {
    return false;
  }
  ++count;
  return true;
}

}  // namespace relay::delivery
