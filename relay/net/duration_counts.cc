#include "relay/net/duration_counts.h"

#include <algorithm>

namespace relay::net {

void DurationCounts::count(std::chrono::duration<double> duration) {
  const std::lock_guard lock(mutex_);
  const auto bound = std::ranges::lower_bound(totals_.bounds, duration.count());
  ++totals_.counts.at(static_cast<std::size_t>(bound - totals_.bounds.begin()));
  totals_.seconds += duration.count();
}

void DurationCounts::add_to(DurationTotals& sums) const {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < sums.counts.size(); ++i) {
    sums.counts.at(i) += totals_.counts.at(i);
  }
  sums.seconds += totals_.seconds;
}

}  // namespace relay::net
