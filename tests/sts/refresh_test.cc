#include "sts/refresh.h"

#include <vector>

#include <doctest/doctest.h>

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using sts::Alert;

const sts::Time kNow{std::chrono::sys_days{std::chrono::year{2026} / 8 / 20}};

sts::CachedPolicy policy(seconds max_age, sts::Mode mode = sts::Mode::enforce) {
  sts::CachedPolicy cached{"a.example", "1", {}, kNow, kNow + max_age};
  cached.policy.mode = mode;
  cached.policy.max_age = max_age;
  return cached;
}

}  // namespace

TEST_CASE("a refresh comes 12 to 30 hours after the fetch, before half of a shorter max_age") {
  struct Row {
    seconds max_age;
    seconds earliest, latest;
  };
  const std::vector<Row> table = {
      {hours{24 * 365}, hours{12}, hours{30}}, {hours{60}, hours{12}, hours{30}},
      {hours{24}, hours{6}, hours{12}},        {hours{4}, hours{1}, hours{2}},
      {seconds{40}, seconds{10}, seconds{20}}, {seconds{2}, seconds{1}, seconds{1}}};
  for (const auto& [max_age, earliest, latest] : table) {
    CAPTURE(max_age.count());
    const auto cached = policy(max_age);
    CHECK(sts::refresh_due(cached, kNow, 0) == kNow + earliest);
    for (const double random : {0.1, 0.5, 0.9, 0.999999}) {
      const auto due = sts::refresh_due(cached, kNow, random);
      CHECK(due >= kNow + earliest);
      CHECK(due <= kNow + latest);
    }
    CHECK(sts::refresh_due(cached, kNow, 0.25) <= sts::refresh_due(cached, kNow, 0.75));
  }
}

TEST_CASE("a policy too short-lived for a refresh is looked at when it expires") {
  CHECK(sts::refresh_due(policy(seconds{1}), kNow, 0.5) == kNow + seconds{1});
}

TEST_CASE("the plan of a refresh follows from the fetch, so it survives a restart") {
  const auto cached = policy(hours{24 * 7});
  CHECK(sts::refresh_due(cached, kNow + hours{11}, 0.5) == sts::refresh_due(cached, kNow, 0.5));
}

TEST_CASE("overdue refreshes are spread over an hour, or half of what is left of a life") {
  const auto cached = policy(hours{24 * 7});
  const sts::Time later = kNow + hours{24 * 5};
  CHECK(sts::refresh_due(cached, later, 0) == later);
  CHECK(sts::refresh_due(cached, later, 0.5) == later + minutes{30});
  const sts::Time late = kNow + hours{24 * 7} - minutes{10};
  CHECK(sts::refresh_due(cached, late, 0.99) < late + minutes{5});
  CHECK(sts::refresh_due(cached, kNow + hours{24 * 8}, 0.5) <= kNow + hours{24 * 8});
}

TEST_CASE("a clock set back does not put a refresh off for longer than ever") {
  const auto cached = policy(hours{24 * 7});
  const sts::Time earlier = kNow - hours{24 * 30};
  CHECK(sts::refresh_due(cached, earlier, 0.999) <= earlier + hours{30});
}

TEST_CASE("a refresh obeys a back-off and never comes after the expiry") {
  const auto cached = policy(hours{24});
  const sts::DiscoveryFault fault{sts::DiscoveryFault::Kind::fetch_error, "timeout"};
  const sts::FetchBackoff failed{"1", kNow + minutes{20}, 3, fault, kNow};
  CHECK(sts::next_refresh(cached, &failed, kNow, 0.5) == kNow + minutes{20});
  const sts::FetchBackoff later{"1", kNow + hours{30}, 9, fault, kNow};
  CHECK(sts::next_refresh(cached, &later, kNow, 0.5) == cached.expires_at);
  const sts::FetchBackoff second_look{"1", kNow + minutes{5}, 1, {}, kNow};
  CHECK(sts::next_refresh(cached, &second_look, kNow, 0.5) == kNow + minutes{5});
  CHECK(sts::next_refresh(cached, nullptr, kNow, 0) == kNow + hours{6});
}

TEST_CASE("a policy of minutes is refreshed only while mail goes there") {
  CHECK(sts::worth_refreshing(policy(minutes{5}), sts::Interest::wanted));
  CHECK_FALSE(sts::worth_refreshing(policy(minutes{5}), sts::Interest::lost));
  CHECK(sts::worth_refreshing(policy(hours{24}), sts::Interest::lost));
}

TEST_CASE("S20: a failing refresh is info at first, a warning after a day, an error at half life") {
  const auto cached = policy(hours{24 * 10});
  const sts::Time since = kNow + hours{24};  // nine days are left
  struct Row {
    seconds after;
    Alert said, due;
  };
  const std::vector<Row> table = {
      {seconds{0}, Alert::none, Alert::info},
      {hours{23}, Alert::info, Alert::none},
      {hours{24}, Alert::info, Alert::warning},
      {hours{24 * 3}, Alert::warning, Alert::none},
      {hours{24 * 4}, Alert::warning, Alert::none},
      {hours{24 * 9 / 2}, Alert::warning, Alert::error},
      {hours{24 * 8}, Alert::error, Alert::none},
      {hours{24 * 8}, Alert::none, Alert::error},
  };
  for (const auto& [after, said, due] : table) {
    CAPTURE(after.count());
    CHECK(sts::alert_due({since, said, {}, cached.expires_at}, cached, since + after) == due);
    const auto none = policy(hours{24 * 10}, sts::Mode::none);
    CHECK(sts::alert_due({since, said, {}, none.expires_at}, none, since + after) == Alert::none);
  }
}

TEST_CASE("S20: for a short life the error comes before any warning") {
  const auto cached = policy(hours{24});
  const sts::Time since = kNow + hours{12};
  CHECK(sts::alert_due({since, Alert::info, {}, {}}, cached, since + hours{6}) == Alert::error);
}
