#include "relay/watchdog.h"

#include <chrono>
#include <thread>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using relay::Watchdog;
using relay::net::EventLoop;
using relay::net::Timer;

/// An event loop with a thread that turns it.
class Turning {
 public:
  explicit Turning(EventLoop& loop) : loop_(loop), thread_([&loop] { loop.run(); }) {}
  ~Turning() {
    loop_.stop();
    thread_.join();
  }
  Turning(const Turning&) = delete;
  Turning& operator=(const Turning&) = delete;

 private:
  EventLoop& loop_;
  std::thread thread_;
};

TEST_CASE("the service manager hears of life again and again while every loop turns") {
  EventLoop main;
  EventLoop first;
  EventLoop second;
  int signs = 0;
  Watchdog watchdog(main, {&first, &second}, 1ms, [&] {
    if (++signs == 3) {
      main.stop();
    }
  });
  const Turning one(first);
  const Turning other(second);
  main.run();
  CHECK(signs == 3);
}

TEST_CASE("one loop that hangs silences the sign of life, until it turns again") {
  EventLoop main;
  EventLoop turns;
  EventLoop hangs;
  int signs = 0;
  Watchdog watchdog(main, {&turns, &hangs}, 1ms, [&] {
    ++signs;
    main.stop();
  });
  const Turning one(turns);
  Timer over(main, [&] { main.stop(); });
  over.start(20ms);  // room for many signs
  main.run();
  CHECK(signs == 0);
  over.start(30s);
  const Turning other(hangs);
  main.run();
  CHECK(signs == 1);
}

}  // namespace
