#include "relay/delivery/pending_queue.h"

#include <chrono>
#include <map>
#include <string>

#include <doctest/doctest.h>

namespace relay::delivery {
namespace {

using std::chrono::seconds;

net::WallTime at(int second) {
  return net::WallTime(seconds(1'800'000'000 + second));
}

Group group(std::int64_t id, std::string domain = "a.example") {
  return Group{spool::MessageId(id), std::move(domain), nullptr};
}

TEST_CASE("a group is not tried before its time") {
  PendingQueue queue({20, 100});
  queue.add(group(1), "d", at(10), at(0));
  CHECK_FALSE(queue.next(at(9)).has_value());
  REQUIRE(queue.next_due() == at(10));
  const auto ready = queue.next(at(10));
  REQUIRE(ready.has_value());
  CHECK(ready->group.id == spool::MessageId(1));
  CHECK(queue.active() == 1);
  CHECK_FALSE(queue.next_due().has_value());
}

TEST_CASE("a full destination does not hold up another") {
  PendingQueue queue({20, 100});
  for (int i = 0; i < 50; ++i) {
    queue.add(group(i), "bulk", at(0), at(0));
  }
  queue.add(group(99), "other", at(0), at(0));
  std::map<std::string, int> started;
  while (auto ready = queue.next(at(0))) {
    ++started[ready->destination];
  }
  CHECK(started["bulk"] == 5);  // the initial window
  CHECK(started["other"] == 1);
}

/// Starts whatever may start now and returns how many that was.
int start_all(PendingQueue& queue) {
  int started = 0;
  while (queue.next(at(0))) {
    ++started;
  }
  return started;
}

TEST_CASE("success widens a destination's window up to the limit and failure narrows it to one") {
  PendingQueue queue({8, 100});
  for (int i = 0; i < 1000; ++i) {
    queue.add(group(i), "d", at(0), at(0));
  }
  const auto run = [&](WindowFeedback feedback, int times) {
    for (int i = 0; i < times; ++i) {
      queue.finished("d", feedback);
      start_all(queue);
    }
  };
  CHECK(start_all(queue) == 5);
  run(WindowFeedback::success, 100);
  CHECK(queue.active() == 8);
  run(WindowFeedback::none, 10);
  CHECK(queue.active() == 8);
  run(WindowFeedback::failure, 100);
  CHECK(queue.active() == 1);
}

TEST_CASE("the total limit holds across destinations") {
  PendingQueue queue({20, 3});
  for (int i = 0; i < 10; ++i) {
    queue.add(group(i), "d" + std::to_string(i), at(0), at(0));
  }
  int started = 0;
  while (queue.next(at(0))) {
    ++started;
  }
  CHECK(started == 3);
  queue.finished("d0", WindowFeedback::success);
  CHECK(queue.next(at(0)).has_value());
  CHECK_FALSE(queue.next(at(0)).has_value());
}

TEST_CASE("hasten makes a waiting message due and forget drops it wherever it waits") {
  PendingQueue queue({20, 100});
  queue.add(group(1, "a.example"), "d", at(100), at(0));
  queue.add(group(1, "b.example"), "e", at(200), at(0));
  queue.add(group(2), "d", at(300), at(0));
  CHECK(queue.hasten(spool::MessageId(1), at(1)) == 2);
  CHECK(queue.ready() == 2);
  CHECK(queue.forget(spool::MessageId(1)) == 2);
  CHECK(queue.ready() == 0);
  CHECK_FALSE(queue.next(at(1)).has_value());
  CHECK(queue.forget(spool::MessageId(2)) == 1);
  CHECK(queue.waiting() == 0);
}

TEST_CASE("destinations take turns") {
  PendingQueue queue({20, 100});
  for (int i = 0; i < 3; ++i) {
    queue.add(group(i), "x", at(0), at(0));
    queue.add(group(10 + i), "y", at(0), at(0));
  }
  std::string order;
  while (auto ready = queue.next(at(0))) {
    order += ready->destination;
  }
  CHECK(order == "xyxyxy");
}

}  // namespace
}  // namespace relay::delivery
