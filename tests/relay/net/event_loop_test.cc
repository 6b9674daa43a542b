#include "relay/net/event_loop.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/loop_fixture.h"

namespace {

using relay::net::EventLoop;
using relay::net::Timer;
using std::chrono::milliseconds;

TEST_CASE("posted tasks run in posting order, and never inside post()") {
  EventLoop loop;
  std::string order;
  loop.post([&] {
    order += 'a';
    loop.post([&] { order += 'c'; });
    order += 'b';
  });
  loop.post([&] {
    order += 'B';
    loop.post([&] { loop.stop(); });
  });
  CHECK(order.empty());
  support::run(loop);
  CHECK(order == "abBc");
}

TEST_CASE("tasks posted before stop() have run when run() returns") {
  EventLoop loop;
  int ran = 0;
  for (int i = 0; i < 1000; ++i) {
    loop.post([&] { ++ran; });
  }
  loop.stop();
  support::run(loop);
  CHECK(ran == 1000);
}

TEST_CASE("a stopped loop can be run again") {
  EventLoop loop;
  loop.stop();
  support::run(loop);
  bool ran = false;
  loop.post([&] { ran = true; });
  loop.stop();
  support::run(loop);
  CHECK(ran);
}

TEST_CASE("tasks posted from other threads all arrive, each thread's in its order") {
  EventLoop loop;
  constexpr int kThreads = 4;
  constexpr int kTasks = 5000;
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kTasks; ++i) {
        loop.post([&, thread, i] {
          seen[thread].push_back(i);
          if (++total == kThreads * kTasks) {
            loop.stop();
          }
        });
      }
    });
  }
  support::run(loop);
  for (auto& thread : threads) {
    thread.join();
  }
  for (const auto& numbers : seen) {
    CHECK(numbers.size() == kTasks);
    CHECK(std::is_sorted(numbers.begin(), numbers.end()));
  }
}

TEST_CASE("a task that posts itself again and again does not starve a timer") {
  EventLoop loop;
  bool stopped = false;
  std::function<void()> again = [&] {
    if (!stopped) {
      loop.post(again);
    }
  };
  loop.post(again);
  Timer timer(loop, [&] {
    stopped = true;
    loop.stop();
  });
  timer.start(milliseconds(1));
  support::run(loop);
  CHECK(stopped);
}

TEST_CASE("tasks that never ran are destroyed with the loop, also those they post in dying") {
  struct Posting {
    explicit Posting(EventLoop& on, int& count) : loop(on), destroyed(count) {}
    Posting(const Posting&) = delete;
    Posting& operator=(const Posting&) = delete;
    Posting(Posting&&) = delete;
    Posting& operator=(Posting&&) = delete;
    ~Posting() {
      ++destroyed;
      loop.post([] {});
    }
    EventLoop& loop;
    int& destroyed;
  };
  int destroyed = 0;
  {
    EventLoop loop;
    loop.post([held = std::make_shared<Posting>(loop, destroyed)] {});
    loop.keep(std::make_shared<Posting>(loop, destroyed));
  }
  CHECK(destroyed == 2);
}

TEST_CASE("what keep() took lives until release()") {
  EventLoop loop;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  const void* key = held.get();
  loop.keep(std::move(held));
  CHECK_FALSE(watched.expired());
  loop.release(key);
  CHECK(watched.expired());
}

TEST_CASE("a timer runs once, not before its delay") {
  EventLoop loop;
  int ran = 0;
  for (const int delay : {0, 1, 5, 17}) {
    const auto begin = std::chrono::steady_clock::now();
    Timer timer(loop, [&] {
      ++ran;
      loop.stop();
    });
    CHECK_FALSE(timer.running());
    timer.start(milliseconds(delay));
    CHECK(timer.running());
    support::run(loop);
    CHECK_FALSE(timer.running());
    CHECK(std::chrono::steady_clock::now() - begin >= milliseconds(delay));
  }
  CHECK(ran == 4);
}

TEST_CASE("a timer can be stopped, restarted, and started again by its action") {
  EventLoop loop;
  bool stopped_ran = false;
  Timer stopped(loop, [&] { stopped_ran = true; });
  stopped.start(milliseconds(0));
  stopped.stop();
  CHECK_FALSE(stopped.running());

  bool postponed_ran = false;
  Timer postponed(loop, [&] { postponed_ran = true; });
  postponed.start(milliseconds(0));
  postponed.start(std::chrono::hours(1));

  int ticks = 0;
  std::unique_ptr<Timer> ticking;
  ticking = std::make_unique<Timer>(loop, [&] {
    if (++ticks == 3) {
      loop.stop();
    } else {
      ticking->start(milliseconds(1));
    }
  });
  ticking->start(milliseconds(0));
  support::run(loop);
  CHECK(ticks == 3);
  CHECK_FALSE(stopped_ran);
  CHECK_FALSE(postponed_ran);
}

TEST_CASE("a timer's action may destroy the timer and still use what it captured") {
  EventLoop loop;
  std::unique_ptr<Timer> timer;
  std::string seen;
  timer = std::make_unique<Timer>(loop, [&, text = std::string(100, 'x')] {
    timer.reset();
    seen = text;
    loop.stop();
  });
  timer->start(milliseconds(0));
  support::run(loop);
  CHECK(seen == std::string(100, 'x'));
}

TEST_CASE("a signal's action runs on the loop once per delivery") {
  EventLoop loop;
  int delivered = 0;
  loop.on_signal(SIGUSR1, [&] {
    if (++delivered == 2) {
      loop.stop();
    } else {
      std::ignore = std::raise(SIGUSR1);
    }
  });
  std::ignore = std::raise(SIGUSR1);
  CHECK(delivered == 0);
  support::run(loop);
  CHECK(delivered == 2);
}

TEST_CASE("SIGPIPE is ignored once a loop exists") {
  const EventLoop loop;
  struct sigaction current {};
  REQUIRE(::sigaction(SIGPIPE, nullptr, &current) == 0);
  const bool ignored = current.sa_handler == SIG_IGN;
  CHECK(ignored);
}

TEST_CASE("an exception that leaves a callback says so on stderr and aborts the process") {
  std::array<int, 2> channel{};
  REQUIRE(::pipe(channel.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(channel[1], STDERR_FILENO);
    std::ignore = std::signal(SIGABRT, SIG_DFL);
    EventLoop loop;
    loop.post([] { throw std::runtime_error("the reason"); });
    loop.run();
    ::_exit(0);
  }
  ::close(channel[1]);
  std::string said;
  std::array<char, 1024> buffer{};
  for (ssize_t n = 1; n > 0;) {
    n = ::read(channel[0], buffer.data(), buffer.size());
    said.append(buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  }
  ::close(channel[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
  CHECK(said.find("the reason") != std::string::npos);
}

}  // namespace
