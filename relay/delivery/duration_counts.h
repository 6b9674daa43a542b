// How long something took, counted by upper bounds that suit mail: from a tenth of a second to a
// day.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace relay::delivery {

struct DurationTotals {
  static constexpr std::array<double, 13> kBounds{0.1, 0.5, 1,   2,    5,     10,   30,
                                                  60,  300, 900, 3600, 14400, 86400};  // s

  /// Durations of at most that bound and more than the one before; the last: longer ones.
  std::array<std::uint64_t, kBounds.size() + 1> counts{};
  double seconds = 0;  ///< of all together
};

/// Thread-safe.
class DurationCounts {
 public:
  void count(std::chrono::milliseconds duration);
  void add_to(DurationTotals& sums) const;

 private:
  mutable std::mutex mutex_;
  DurationTotals totals_;
};

}  // namespace relay::delivery
