// Time as an argument: the wall clock for what is stored and reported, the steady clock for waits.
#pragma once

#include <chrono>

namespace relay::net {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
using SteadyTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;
  [[nodiscard]] virtual WallTime wall() const = 0;
  [[nodiscard]] virtual SteadyTime steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  SystemClock() = default;
  /// For test worlds: a wall clock that is ahead of the system's.
  explicit SystemClock(std::chrono::milliseconds ahead) : ahead_(ahead) {}
  [[nodiscard]] WallTime wall() const override {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()) + ahead_;
  }
  [[nodiscard]] SteadyTime steady() const override { return std::chrono::steady_clock::now(); }

 private:
  std::chrono::milliseconds ahead_{0};
};

}  // namespace relay::net
