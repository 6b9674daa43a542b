#include "relay/delivery/duration_counts.h"

#include <algorithm>

namespace relay::delivery {

void DurationCounts::count(std::chrono::milliseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto& bounds = DurationTotals::kBounds;
  const auto* const bound = std::lower_bound(bounds.begin(), bounds.end(), seconds);
  const std::lock_guard lock(mutex_);
  ++totals_.counts.at(static_cast<std::size_t>(bound - bounds.begin()));
  totals_.seconds += seconds;
}

void DurationCounts::add_to(DurationTotals& sums) const {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < sums.counts.size(); ++i) {
    sums.counts.at(i) += totals_.counts.at(i);
  }
  sums.seconds += totals_.seconds;
}

}  // namespace relay::delivery
