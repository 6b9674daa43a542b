// When a deferred recipient is tried again (RFC 5321 §4.5.4.1). Pure.
#pragma once

#include <chrono>
#include <optional>
#include <span>

#include "relay/net/clock.h"

namespace relay::spool {

struct Deferral {
  int attempts = 0;         ///< attempts made so far, this one included
  net::WallTime now{};      ///< end of this attempt
  net::WallTime expires{};  ///< end of the message's life
  double jitter = 0;        ///< in [-1, 1]: the wait is stretched by this share of itself
};

/// The time of the next attempt. waits[n] is the wait before attempt n+1, the last one repeats.
/// One last attempt is made when the life ends; nullopt: it has ended, the recipient has failed.
[[nodiscard]] std::optional<net::WallTime> next_try(
    std::span<const std::chrono::milliseconds> waits, const Deferral& deferral);

}  // namespace relay::spool
