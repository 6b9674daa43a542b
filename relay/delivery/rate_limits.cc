#include "relay/delivery/rate_limits.h"

#include <algorithm>

namespace relay::delivery {

conf::RateBucket& RateLimits::filled(const std::string& way, const conf::Rate& rate,
                                     net::WallTime now) {
  const std::uint32_t at_once = std::max<std::uint32_t>(1, rate.count / 10);
  conf::RateBucket& bucket = buckets_.try_emplace(way, rate, at_once, now).first->second;
  bucket.refill(rate, at_once, now);
  return bucket;
}

std::optional<net::WallTime> RateLimits::blocked_until(const std::string& way,
                                                       const conf::Rate& rate, net::WallTime now) {
  const auto wait = filled(way, rate, now).wait();
  return wait.count() > 0 ? std::optional(now + wait) : std::nullopt;
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
  filled(way, rate, now).charge(recipients);
}

}  // namespace relay::delivery
