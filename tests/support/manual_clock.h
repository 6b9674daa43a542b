// A clock that stands still until a test moves it. Threads of the code under test may read it
// meanwhile.
#pragma once

#include <atomic>
#include <chrono>

#include "relay/net/clock.h"

namespace support {

class ManualClock final : public relay::net::Clock {
 public:
  [[nodiscard]] relay::net::WallTime wall() const override { return kWall + elapsed_.load(); }
  [[nodiscard]] relay::net::SteadyTime steady() const override { return kSteady + elapsed_.load(); }

  void advance(std::chrono::milliseconds by) { elapsed_ = elapsed_.load() + by; }

 private:
  static constexpr relay::net::WallTime kWall{
      std::chrono::sys_days{std::chrono::year{2024} / 7 / 1}};
  static constexpr relay::net::SteadyTime kSteady{std::chrono::hours(1)};
  std::atomic<std::chrono::milliseconds> elapsed_{std::chrono::milliseconds(0)};
};

}  // namespace support
