#include "relay/delivery/rate_limits.h"

#include <algorithm>

namespace relay::delivery {
namespace {

// Room is counted so that all is whole numbers: a recipient costs as many as the rate's span has
// milliseconds, and each millisecond brings as many as the rate's recipients.
std::int64_t cost(const conf::Rate& rate) {
  return rate.per.count();
}

std::int64_t most(const conf::Rate& rate) {
  return std::max<std::int64_t>(1, rate.count / 10) * cost(rate);
}

}  // namespace

RateLimits::Bucket& RateLimits::filled(const std::string& way, const conf::Rate& rate,
                                       net::WallTime now) {
  const auto [found, added] = buckets_.try_emplace(way, Bucket{most(rate), now});
  Bucket& bucket = found->second;
  // A clock that was set back must not stop the mail, nor one that leapt overflow.
  const auto passed = std::clamp(now - bucket.filled_at, std::chrono::milliseconds(0), rate.per);
  bucket.room = std::min(most(rate), bucket.room + passed.count() * rate.count);
  bucket.filled_at = now;
  return bucket;
}

std::optional<net::WallTime> RateLimits::blocked_until(const std::string& way,
                                                       const conf::Rate& rate, net::WallTime now) {
  const std::int64_t missing = cost(rate) - filled(way, rate, now).room;
  if (missing <= 0) {
    return std::nullopt;
  }
  return now + std::chrono::milliseconds((missing + rate.count - 1) / rate.count);
}

void RateLimits::pause(const std::string& destination, net::WallTime until) {
  pauses_[destination] = until;
}

std::optional<net::WallTime> RateLimits::paused_until(const std::string& destination,
                                                      net::WallTime now) {
  const auto found = pauses_.find(destination);
  if (found == pauses_.end()) {
    return std::nullopt;
  }
  if (found->second <= now) {
    pauses_.erase(found);
    return std::nullopt;
  }
  return found->second;
}

void RateLimits::charge(const std::string& way, const conf::Rate& rate, std::size_t recipients,
                        net::WallTime now) {
  filled(way, rate, now).room -= static_cast<std::int64_t>(recipients) * cost(rate);
}

}  // namespace relay::delivery
