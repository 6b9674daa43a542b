#include "conf/rate_bucket.h"

#include <algorithm>
#include <limits>

namespace conf {
namespace {

// Beyond what any wait is long enough for; far from overflow.
constexpr std::int64_t kMostUsed = std::numeric_limits<std::int64_t>::max() / 4;

}  // namespace

void RateBucket::refill(const Rate& rate, std::uint32_t at_once, Time now) {
  // A clock that was set back must not stop the mail, nor one that leapt overflow.
  const auto until_empty = std::chrono::milliseconds(used_ / rate_.count + 1);
  const auto passed = std::clamp(now - filled_at_, std::chrono::milliseconds(0), until_empty);
  used_ = std::max<std::int64_t>(0, used_ - passed.count() * std::int64_t{rate_.count});
  filled_at_ = now;
  if (rate.per != rate_.per) {
    const auto parts = static_cast<long double>(used_) / static_cast<long double>(cost()) *
                       static_cast<long double>(rate.per.count());
    used_ =
        parts < static_cast<long double>(kMostUsed) ? static_cast<std::int64_t>(parts) : kMostUsed;
  }
  rate_ = rate;
  at_once_ = at_once;
}

void RateBucket::charge(std::size_t count) {
  const auto parts = static_cast<std::int64_t>(
      std::min(count, static_cast<std::size_t>(kMostUsed / std::max<std::int64_t>(1, cost()))));
  used_ = std::min(kMostUsed, used_ + parts * cost());
}

void RateBucket::give_back(std::size_t count) {
  const auto parts = std::min(count, used());
  used_ = std::max<std::int64_t>(0, used_ - static_cast<std::int64_t>(parts) * cost());
}

std::size_t RateBucket::room() const {
  return used_ >= most() ? 0 : static_cast<std::size_t>((most() - used_) / cost());
}

std::size_t RateBucket::used() const {
  return static_cast<std::size_t>((used_ + cost() - 1) / cost());
}

std::chrono::milliseconds RateBucket::wait() const {
  const std::int64_t over = used_ + cost() - most();
  const std::int64_t count = rate_.count;
  return std::chrono::milliseconds(over <= 0 ? 0 : (over + count - 1) / count);
}

}  // namespace conf
