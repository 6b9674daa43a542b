// A clock that stands still until a test moves it.
#pragma once

#include <chrono>

#include "relay/net/clock.h"

namespace support {

class ManualClock final : public relay::net::Clock {
 public:
  [[nodiscard]] relay::net::WallTime wall() const override { return wall_; }
  [[nodiscard]] relay::net::SteadyTime steady() const override { return steady_; }

  void advance(std::chrono::milliseconds by) {
    wall_ += by;
    steady_ += by;
  }

 private:
  relay::net::WallTime wall_{std::chrono::sys_days{std::chrono::year{2024} / 7 / 1}};
  relay::net::SteadyTime steady_{std::chrono::hours(1)};
};

}  // namespace support
