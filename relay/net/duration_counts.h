// How long something took, counted by upper bounds that suit it. Pure but for the lock.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace relay::net {

/// Upper bounds in seconds, rising. For mail: from a tenth of a second to a day.
inline constexpr std::array<double, 13> kMailDurations{0.1, 0.5, 1,   2,    5,     10,   30,
                                                       60,  300, 900, 3600, 14400, 86400};
/// For what a disk does: from a quarter of a millisecond to ten seconds.
inline constexpr std::array<double, 14> kDiskDurations{
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10};

struct DurationTotals {
  /// upper: one of the above, or another that outlives it.
  explicit DurationTotals(std::span<const double> upper) : bounds(upper) {}

  std::span<const double> bounds;
  /// Durations of at most that bound and more than the one before; the last: longer ones.
  std::vector<std::uint64_t> counts = std::vector<std::uint64_t>(bounds.size() + 1);
  double seconds = 0;  ///< of all together
};

/// Thread-safe.
class DurationCounts {
 public:
  explicit DurationCounts(std::span<const double> upper) : totals_(upper) {}
  void count(std::chrono::duration<double> duration);
  /// sums: of the same bounds.
  void add_to(DurationTotals& sums) const;

 private:
  mutable std::mutex mutex_;
  DurationTotals totals_;
};

}  // namespace relay::net
