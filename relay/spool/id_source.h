// Queue ids: rising, unique for the life of the spool, roughly the time of arrival.
// Threading: next() and last() from any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "relay/net/clock.h"
#include "relay/spool/message.h"

namespace relay::spool {

class IdSource {
 public:
  static constexpr std::int64_t kPerMillisecond = 64;

  /// highest: the greatest id that may have been given out before, by this or an earlier run.
  IdSource(const net::Clock& clock, std::int64_t highest) : clock_(clock), last_(highest) {}

  /// When ids are asked for faster than the clock allows, or it was set back, they count on from
  /// the last one.
  [[nodiscard]] MessageId next() {
    // Counted from 2020, so that ids fit their share of a row key until 2089.
    constexpr std::chrono::sys_days kStart = std::chrono::year(2020) / 1 / 1;
    const auto by_clock = (clock_.wall() - kStart).count() * kPerMillisecond;
    auto last = last_.load();
    auto id = std::max(last + 1, by_clock);
    while (!last_.compare_exchange_weak(last, id)) {
      id = std::max(last + 1, by_clock);
    }
    return MessageId(id);
  }
  [[nodiscard]] std::int64_t last() const { return last_.load(); }

 private:
  const net::Clock& clock_;
  std::atomic<std::int64_t> last_;
};

}  // namespace relay::spool
