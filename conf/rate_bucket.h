// How much of a Rate is used: so many may come at once, and room for more comes evenly. Pure; time
// is an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "conf/units.h"

namespace conf {

class RateBucket {
 public:
  using Time = std::chrono::sys_time<std::chrono::milliseconds>;

  /// Nothing is used. at_once: how many may come with no time between them, at least 1.
  RateBucket(const Rate& rate, std::uint32_t at_once, Time now)
      : rate_(rate), at_once_(at_once), filled_at_(now) {}

  /// Gives the room that came since the last call by the rate until now, which is this one from
  /// here on; what is used stays used.
  void refill(const Rate& rate, std::uint32_t at_once, Time now);
  /// So many came; more than there was room for are made up for by a longer wait.
  void charge(std::size_t count);
  /// So many did not come after all.
  void give_back(std::size_t count);

  [[nodiscard]] const Rate& rate() const { return rate_; }
  /// How many may come now.
  [[nodiscard]] std::size_t room() const;
  /// How many count as come, a part of one as one.
  [[nodiscard]] std::size_t used() const;
  /// Until there is room for one; 0: there is.
  [[nodiscard]] std::chrono::milliseconds wait() const;

 private:
  [[nodiscard]] std::int64_t cost() const { return rate_.per.count(); }
  [[nodiscard]] std::int64_t most() const { return std::int64_t{at_once_} * cost(); }

  Rate rate_;
  std::uint32_t at_once_;
  // In parts, so that all is whole numbers: each that comes takes as many as the rate's span has
  // milliseconds, and each millisecond frees as many as the rate's count.
  std::int64_t used_ = 0;
  Time filled_at_;
};

}  // namespace conf
