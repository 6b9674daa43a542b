// A sign of life for the service manager, given only while every event loop turns.
// Threading: belongs to the main loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

#include "relay/net/event_loop.h"

namespace relay {

class Watchdog {
 public:
  /// main: the loop of the calling thread; others: those of other threads, which must have ended
  /// when this is destroyed. alive: called on main at most once per interval, after each loop had
  /// a turn; a loop that hangs silences it until it turns again.
  Watchdog(net::EventLoop& main, std::vector<net::EventLoop*> others,
           std::chrono::milliseconds interval, std::function<void()> alive);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() = default;

 private:
  void ask();
  void answered();

  net::EventLoop& main_;
  std::vector<net::EventLoop*> others_;
  std::chrono::milliseconds interval_;
  std::function<void()> alive_;
  std::size_t awaited_ = 0;  ///< loops that have not had their turn yet
  net::Timer timer_;
};

}  // namespace relay
