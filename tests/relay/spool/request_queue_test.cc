#include "relay/spool/request_queue.h"

#include <chrono>
#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/event_loop.h"

using relay::net::EventLoop;
using relay::spool::Count;
using relay::spool::Request;
using relay::spool::RequestQueue;
using relay::spool::Settle;
using relay::spool::Settlement;
using relay::spool::Stored;
using relay::spool::WriteReport;

namespace {

Request report(EventLoop& loop) {
  return WriteReport{{}, loop, [](const Stored<void>&) {}};
}

/// The end of an attempt with a mail that carries a report, or with another.
Request settle(EventLoop& loop, bool of_report) {
  Settlement settlement;
  if (of_report) {
    settlement.report.emplace();
  }
  return Settle{settlement, loop, [](const Stored<void>&) {}};
}

template <class Kind>
std::size_t count(const std::vector<Request>& group) {
  std::size_t found = 0;
  for (const auto& request : group) {
    found += std::holds_alternative<Kind>(request) ? 1U : 0U;
  }
  return found;
}

}  // namespace

TEST_CASE("what comes together is taken together, in its order") {
  EventLoop loop;
  RequestQueue queue;
  queue.submit(Count{});
  queue.submit(settle(loop, false));
  queue.submit(Count{});
  const auto group = queue.take(std::nullopt);
  REQUIRE(group.size() == 3);
  CHECK(std::holds_alternative<Settle>(group[1]));
}

TEST_CASE("mail is not kept waiting by what reports want written, which is gathered") {
  EventLoop loop;
  RequestQueue queue;
  const auto start = std::chrono::steady_clock::now();
  queue.submit(report(loop));
  queue.submit(settle(loop, true));
  queue.submit(settle(loop, false));
  auto group = queue.take(std::nullopt);
  if (std::chrono::steady_clock::now() < start + std::chrono::milliseconds(3)) {
    CHECK(group.size() == 1);
  }
  CHECK(count<Settle>(group) >= 1);
  while (count<WriteReport>(group) == 0) {
    group = queue.take(std::nullopt);
  }
  CHECK(std::chrono::steady_clock::now() >= start + std::chrono::milliseconds(3));
  CHECK(count<Settle>(group) >= 1);
}

TEST_CASE("a day's reports come in small groups, each with the mail that has come meanwhile") {
  EventLoop loop;
  RequestQueue queue;
  constexpr std::size_t kAll = 100;
  for (std::size_t i = 0; i < kAll; ++i) {
    queue.submit(report(loop));
  }
  std::size_t taken = 0;
  while (taken < kAll) {
    queue.submit(Count{});
    const auto group = queue.take(std::nullopt);
    CHECK(count<Count>(group) == 1);
    CHECK(count<WriteReport>(group) <= 7);
    taken += count<WriteReport>(group);
  }
  CHECK(taken == kAll);
}

TEST_CASE("at its end the queue gives out all that it has, at once") {
  EventLoop loop;
  RequestQueue queue;
  for (int i = 0; i < 20; ++i) {
    queue.submit(report(loop));
  }
  queue.close();
  std::size_t taken = 0;
  for (auto group = queue.take(std::nullopt); !group.empty(); group = queue.take(std::nullopt)) {
    taken += group.size();
  }
  CHECK(taken == 20);
}

TEST_CASE("who waits with patience gets nothing when it runs out") {
  RequestQueue queue;
  CHECK(queue.take(std::chrono::milliseconds(1)).empty());
}
