#include "relay/net/side_thread.h"

#include <future>
#include <sched.h>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using relay::net::EventLoop;
using relay::net::later;
using relay::net::Operation;
using relay::net::SideThread;

TEST_CASE("work is done beside the loop, its result comes on the loop and not at once") {
  EventLoop loop;
  SideThread side(SideThread::Priority::usual);
  const auto here = std::this_thread::get_id();
  std::thread::id worked;
  std::string result;
  const auto operation = side.run(
      loop,
      [&worked] {
        worked = std::this_thread::get_id();
        return std::string("done");
      },
      [&](const std::string& text) {
        CHECK(std::this_thread::get_id() == here);
        result = text;
        loop.stop();
      });
  CHECK(result.empty());
  loop.run();
  CHECK(result == "done");
  CHECK(worked != here);
}

TEST_CASE("work is done in the order in which it came, cancelled work is not answered") {
  EventLoop loop;
  SideThread side(SideThread::Priority::usual);
  std::promise<void> begun;
  std::promise<void> go;
  const auto first = side.run(
      loop,
      [&] {
        begun.set_value();
        go.get_future().wait();
        return 1;
      },
      [](int) {});
  begun.get_future().wait();
  CHECK(side.waiting() == 0);
  std::vector<int> results;
  bool cancelled_was_done = false;
  auto cancelled = side.run(
      loop,
      [&cancelled_was_done] {
        cancelled_was_done = true;
        return 2;
      },
      [&results](int number) { results.push_back(number); });
  std::vector<Operation> kept;
  for (const int number : {3, 4, 5}) {
    kept.push_back(side.run(
        loop, [number] { return number; },
        [&](int result) {
          results.push_back(result);
          if (results.size() == 3) {
            loop.stop();
          }
        }));
  }
  CHECK(side.waiting() == 4);
  cancelled.cancel();
  go.set_value();
  loop.run();
  CHECK(results == std::vector{3, 4, 5});
  CHECK_FALSE(cancelled_was_done);
}

TEST_CASE("what waits when the thread ends is dropped") {
  EventLoop loop;
  int answers = 0;
  Operation first;
  Operation second;
  {
    SideThread side(SideThread::Priority::usual);
    first = side.run(
        loop, [] { return 1; }, [&answers](int) { ++answers; });
    second = side.run(
        loop, [] { return 2; }, [&answers](int) { ++answers; });
  }
  first.cancel();
  second.cancel();
  loop.post([&loop] { loop.stop(); });
  loop.run();
  CHECK(answers == 0);
}

TEST_CASE("an idle thread leaves the processor to the others") {
  EventLoop loop;
  SideThread side(SideThread::Priority::idle);
  int policy = SCHED_OTHER;
  const auto operation = side.run(
      loop, [] { return ::sched_getscheduler(0); },
      [&](int given) {
        policy = given;
        loop.stop();
      });
  loop.run();
  CHECK(policy == SCHED_IDLE);
}

TEST_CASE("an answer that is known comes on the loop, unless it is cancelled") {
  EventLoop loop;
  int answers = 0;
  auto cancelled = later(loop, [&answers] { answers += 100; });
  cancelled.cancel();
  const auto kept = later(loop, [&] {
    ++answers;
    loop.stop();
  });
  CHECK(answers == 0);
  loop.run();
  CHECK(answers == 1);
}
