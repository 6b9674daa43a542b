#include "relay/watchdog.h"

#include <utility>

namespace relay {

Watchdog::Watchdog(net::EventLoop& main, std::vector<net::EventLoop*> others,
                   std::chrono::milliseconds interval, std::function<void()> alive)
    : main_(main),
      others_(std::move(others)),
      interval_(interval),
      alive_(std::move(alive)),
      timer_(main, [this] { ask(); }) {
  timer_.start(interval_);
}

void Watchdog::ask() {
  timer_.start(interval_);
  if (awaited_ > 0) {
    return;
  }
  awaited_ = others_.size();
  for (net::EventLoop* const loop : others_) {
    loop->post([this] { main_.post([this] { answered(); }); });
  }
}

void Watchdog::answered() {
  if (--awaited_ == 0) {
    alive_();
  }
}

}  // namespace relay
