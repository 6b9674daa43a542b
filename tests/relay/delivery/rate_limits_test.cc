#include "relay/delivery/rate_limits.h"

#include <doctest/doctest.h>

#include "relay/delivery/message_signer.h"
#include "relay/delivery/pending_queue.h"

namespace {

using namespace relay::delivery;
using relay::net::WallTime;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr WallTime kStart{seconds(1'800'000'000)};

relay::message::DkimSigner key(std::string domain, std::string selector) {
  return {std::move(domain), std::move(selector),
          relay::message::DkimKey::generate(relay::message::DkimKey::Kind::ed25519)};
}

}  // namespace

TEST_CASE("a rate lets a tenth go at once and the rest evenly, and never more") {
  RateLimits limits;
  const conf::Rate rate{100, std::chrono::hours(1)};
  int gone = 0;
  WallTime now = kStart;
  for (; !limits.blocked_until("a", rate, now); ++gone) {
    limits.charge("a", rate, 1, now);
  }
  CHECK(gone == 10);
  CHECK_FALSE(limits.blocked_until("b", rate, now));
  const auto next = limits.blocked_until("a", rate, now);
  REQUIRE(next);
  CHECK(*next == kStart + seconds(36));
  while (now < kStart + std::chrono::hours(1)) {
    if (const auto until = limits.blocked_until("a", rate, now)) {
      now = *until;
    } else {
      limits.charge("a", rate, 1, now);
      ++gone;
    }
  }
  CHECK(gone >= 108);
  CHECK(gone <= 110);
}

TEST_CASE("a rate: many recipients at once are made up for, and a clock set back stops nothing") {
  RateLimits limits;
  const conf::Rate rate{10, std::chrono::minutes(1)};
  limits.charge("a", rate, 11, kStart);
  CHECK(limits.blocked_until("a", rate, kStart) == kStart + seconds(66));
  CHECK(limits.blocked_until("a", rate, kStart - std::chrono::hours(1)) ==
        kStart - std::chrono::hours(1) + seconds(66));
}

TEST_CASE("a destination's own limit of connections holds, and what waits for it can be hastened") {
  PendingQueue queue({20, 100});
  queue.limit_destination("a", 2);
  for (std::int64_t id = 1; id <= 4; ++id) {
    queue.add({relay::spool::MessageId(id), "a.example", nullptr}, "a", kStart, kStart);
  }
  const auto first = queue.next(kStart);
  REQUIRE(first);
  CHECK(queue.next(kStart));
  CHECK_FALSE(queue.next(kStart));
  queue.finished(*first, WindowFeedback::success);
  CHECK(queue.next(kStart));
  CHECK_FALSE(queue.next(kStart));

  queue.add({relay::spool::MessageId(5), "b.example", nullptr}, "b", kStart + std::chrono::hours(1),
            kStart);
  CHECK(queue.hasten_destination("c", kStart) == 0);
  CHECK_FALSE(queue.next(kStart));
  CHECK(queue.hasten_destination("b", kStart) == 1);
  CHECK(queue.next(kStart)->destination == "b");
}

TEST_CASE("the keys that sign are all those of the closest domain, and of no other") {
  const SigningKeys keys{key("example.org", "one"), key("mail.example.org", "two"),
                         key("mail.example.org", "three"), key("example.com", "four")};
  const auto selectors = [&](std::string_view author) {
    std::string found;
    for (const auto& each : keys_for(keys, author)) {
      found += each.selector + " ";
    }
    return found;
  };
  CHECK(selectors("example.org") == "one ");
  CHECK(selectors("other.example.org") == "one ");
  CHECK(selectors("mail.example.org") == "two three ");
  CHECK(selectors("a.mail.example.org") == "two three ");
  CHECK(selectors("notexample.org").empty());
  CHECK(selectors("").empty());
}
