#include "relay/spool/schedule.h"

#include <algorithm>

namespace relay::spool {

std::optional<net::WallTime> next_try(std::span<const std::chrono::milliseconds> waits,
                                      const Deferral& deferral) {
  using std::chrono::milliseconds;
  if (deferral.now >= deferral.expires) {
    return std::nullopt;
  }
  milliseconds wait{0};
  if (!waits.empty()) {
    const auto made = static_cast<std::size_t>(std::max(deferral.attempts, 0));
    wait = waits[std::min(made, waits.size() - 1)];
  }
  const double stretch = 1.0 + std::clamp(deferral.jitter, -1.0, 1.0);
  wait = milliseconds(static_cast<milliseconds::rep>(static_cast<double>(wait.count()) * stretch));
  return std::min(deferral.now + wait, deferral.expires);
}

}  // namespace relay::spool
