#include "relay/delivery/pending_queue.h"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

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

/// Starts whatever may start now.
std::vector<PendingQueue::Ready> start_all(PendingQueue& queue) {
  std::vector<PendingQueue::Ready> started;
  while (auto ready = queue.next(at(0))) {
    started.push_back(std::move(*ready));
  }
  return started;
}

TEST_CASE("a full destination does not hold up another") {
  PendingQueue queue({20, 100});
  for (int i = 0; i < 50; ++i) {
    queue.add(group(i), "bulk", at(0), at(0));
  }
  queue.add(group(99), "other", at(0), at(0));
  std::map<std::string, int> started;
  for (const auto& ready : start_all(queue)) {
    ++started[ready.destination];
  }
  CHECK(started["bulk"] == 5);  // the initial window
  CHECK(started["other"] == 1);
}

TEST_CASE("success widens a destination's window up to the limit and failure narrows it to one") {
  PendingQueue queue({8, 100});
  for (int i = 0; i < 1000; ++i) {
    queue.add(group(i), "d", at(0), at(0));
  }
  const auto run = [&](WindowFeedback feedback, int times) {
    for (int i = 0; i < times; ++i) {
      queue.finished({group(0), "d"}, feedback);
      start_all(queue);
    }
  };
  CHECK(start_all(queue).size() == 5);
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
  CHECK(start_all(queue).size() == 3);
  queue.finished({group(0), "d0"}, WindowFeedback::success);
  CHECK(queue.next(at(0)).has_value());
  CHECK_FALSE(queue.next(at(0)).has_value());
}

TEST_CASE("forget drops what matches wherever it waits, and no turn is left behind") {
  PendingQueue queue({20, 100});
  auto pauses = std::make_shared<const Pauses>(
      std::vector<spool::Pause>{{spool::Pause::Kind::domain, "rests.example", "", {}, ""}});
  queue.set_pauses(pauses);
  queue.add(group(1, "a.example"), "d", at(100), at(0));
  queue.add(group(1, "b.example"), "e", at(0), at(0));
  queue.add(group(1, "rests.example"), "f", at(0), at(0));
  queue.add(group(2), "e", at(0), at(0));
  const auto of = [](std::int64_t id) {
    return [id](const Group& each) { return each.id == spool::MessageId(id); };
  };
  CHECK(queue.resting() == 1);
  CHECK(queue.forget(of(1)) == 3);
  CHECK(queue.waiting() == 0);
  CHECK(queue.resting() == 0);
  CHECK(queue.ready() == 1);
  CHECK(queue.forget(of(2)) == 1);
  CHECK_FALSE(queue.next(at(1)).has_value());
  queue.add(group(3), "e", at(0), at(0));
  CHECK(queue.next(at(1))->group.id == spool::MessageId(3));
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

TEST_CASE("senders take turns at one destination, whatever each has waiting") {
  PendingQueue queue({1, 100});
  for (int i = 0; i < 10'000; ++i) {
    Group bulk = group(i);
    bulk.owner = 1;
    queue.add(std::move(bulk), "d", at(0), at(0));
  }
  Group reset = group(77'777);
  reset.owner = 2;
  auto under_way = queue.next(at(0));
  REQUIRE(under_way);
  queue.add(std::move(reset), "d", at(0), at(0));
  // One more of the first sender's, whose turn it is already; then the other sender's only one.
  std::vector<std::int64_t> order;
  for (int i = 0; i < 3; ++i) {
    queue.finished(*under_way, WindowFeedback::none);
    under_way = queue.next(at(0));
    REQUIRE(under_way);
    order.push_back(under_way->group.id.value());
  }
  CHECK(order == std::vector<std::int64_t>{1, 77'777, 2});
}

Group of_class(std::int64_t id, spool::Priority priority) {
  Group made = group(id);
  made.priority = priority;
  return made;
}

TEST_CASE("10,000 bulk messages do not delay a password reset by a single attempt") {
  struct Row {
    const char* where;  ///< the reset's destination; the bulk mail's is "d"
    QueueLimits limits;
  };
  for (const Row& row : {Row{"d", {20, 100}}, Row{"other", {20, 100}}, Row{"other", {20, 4}},
                         Row{"d", {2, 4}}, Row{"other", {2, 2}}}) {
    CAPTURE(row.where);
    CAPTURE(row.limits.total);
    PendingQueue queue(row.limits);
    for (int i = 0; i < 10'000; ++i) {
      queue.add(of_class(i, spool::Priority::bulk), i % 2 == 0 ? "d" : "dx", at(0), at(0));
    }
    const auto started = start_all(queue);
    CHECK_FALSE(started.empty());
    CHECK(started.size() < static_cast<std::size_t>(row.limits.total));
    for (const auto priority : {spool::Priority::high, spool::Priority::normal}) {
      queue.add(of_class(77'777, priority), row.where, at(0), at(0));
      const auto next = queue.next(at(0));
      REQUIRE(next);
      CHECK(next->group.id == spool::MessageId(77'777));
      queue.finished(*next, WindowFeedback::none);
    }
  }
}

TEST_CASE("better classes go first, and a worse one is passed over eight times at most") {
  PendingQueue queue({100, 100});
  for (int i = 0; i < 40; ++i) {
    const std::string own = std::to_string(i);
    queue.add(of_class(100 + i, spool::Priority::bulk), "b" + own, at(0), at(0));
    queue.add(of_class(i, spool::Priority::high), "h" + own, at(0), at(0));
  }
  std::string order;
  for (int i = 0; i < 27; ++i) {
    order += queue.next(at(0))->destination.front();
  }
  CHECK(order == "hhhhhhhhbhhhhhhhhbhhhhhhhhb");
}

TEST_CASE("bulk mail alone may have all but a quarter of the places, and goes on when some end") {
  PendingQueue queue({20, 8});
  for (int i = 0; i < 100; ++i) {
    queue.add(of_class(i, spool::Priority::bulk), "d" + std::to_string(i), at(0), at(0));
  }
  const auto started = start_all(queue);
  CHECK(started.size() == 6);
  queue.finished(started.front(), WindowFeedback::success);
  CHECK(start_all(queue).size() == 1);
}

TEST_CASE("what rests is not tried, what comes in for it waits, and a resume brings all back") {
  PendingQueue queue({20, 100});
  using Kind = spool::Pause::Kind;
  const auto pause = [&queue](Kind kind, const std::string& name) {
    queue.set_pauses(
        std::make_shared<const Pauses>(std::vector<spool::Pause>{{kind, name, "", {}, ""}}));
  };
  struct Row {
    Kind kind;
    const char* name;
    std::size_t resting;
  };
  for (const Row& row : {Row{Kind::domain, "a.example", 1}, Row{Kind::next_hop, "hop.example", 2},
                         Row{Kind::next_hop, "hop.example:587", 2}, Row{Kind::next_hop, "hop", 0},
                         Row{Kind::everything, "", 3}}) {
    CAPTURE(row.name);
    queue.add(group(1, "a.example"), "host:hop.example:587", at(0), at(0));
    queue.add(group(2, "b.example"), "host:hop.example:587", at(10), at(0));
    pause(row.kind, row.name);
    queue.add(group(3, "c.example"), "mx:c.example:25", at(0), at(0));
    CHECK(queue.next_due().has_value());
    std::size_t tried = 0;
    while (const auto ready = queue.next(at(10))) {
      queue.finished(*ready, WindowFeedback::none);
      ++tried;
    }
    CHECK(queue.resting() == row.resting);
    CHECK(tried == 3 - row.resting);
    queue.set_pauses(std::make_shared<const Pauses>());
    CHECK(queue.resting() == 0);
    while (const auto ready = queue.next(at(10))) {
      queue.finished(*ready, WindowFeedback::none);
      ++tried;
    }
    CHECK(tried == 3);
  }
}

}  // namespace
}  // namespace relay::delivery
