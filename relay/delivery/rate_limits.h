// How many recipients may go one way in a span of time, as providers' terms have it: a tenth of the
// number at once, the rest evenly; and pauses that destinations asked for. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>

#include "conf/rate_bucket.h"
#include "conf/units.h"
#include "relay/net/clock.h"

namespace relay::delivery {

class RateLimits {
 public:
  /// When the next may go; nullopt: now.
  [[nodiscard]] std::optional<net::WallTime> blocked_until(const std::string& way,
                                                           const conf::Rate& rate,
                                                           net::WallTime now);
  /// A destination asked for a pause.
  void pause(const std::string& destination, net::WallTime until);
  [[nodiscard]] std::optional<net::WallTime> paused_until(const std::string& destination,
                                                          net::WallTime now);
  /// So many recipients have gone; more than there was room for are made up for by a longer wait.
  void charge(const std::string& way, const conf::Rate& rate, std::size_t recipients,
              net::WallTime now);

 private:
  conf::RateBucket& filled(const std::string& way, const conf::Rate& rate, net::WallTime now);

  std::unordered_map<std::string, conf::RateBucket> buckets_;
  std::unordered_map<std::string, net::WallTime> pauses_;
};

}  // namespace relay::delivery
