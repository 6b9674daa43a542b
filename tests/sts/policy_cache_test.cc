#include "sts/policy_cache.h"

#include <doctest/doctest.h>

namespace {

using std::chrono::hours;
using std::chrono::seconds;

const sts::Time kNow{std::chrono::sys_days{std::chrono::year{2026} / 8 / 20}};

std::shared_ptr<const sts::CachedPolicy> policy(const std::string& domain, sts::Mode mode,
                                                seconds max_age, sts::Time fetched_at = kNow) {
  sts::CachedPolicy cached{domain, "1", {}, fetched_at, fetched_at + max_age};
  cached.policy.mode = mode;
  cached.policy.max_age = max_age;
  return std::make_shared<const sts::CachedPolicy>(cached);
}

}  // namespace

TEST_CASE("a policy lives for max_age from its fetch and no longer, whatever its mode") {
  for (const sts::Mode mode : {sts::Mode::enforce, sts::Mode::testing, sts::Mode::none}) {
    sts::PolicyCache cache{10};
    cache.store(policy("a.example", mode, hours{1}), kNow);
    CHECK(cache.find("a.example", kNow + hours{1} - seconds{1}) != nullptr);
    CHECK(cache.find("a.example", kNow + hours{1}) == nullptr);
    CHECK(cache.policies(kNow + hours{1}).empty());
    CHECK(cache.find("sub.a.example", kNow) == nullptr);
  }
}

TEST_CASE("a stored policy replaces the older one at once, weaker or not") {
  sts::PolicyCache cache{10};
  cache.store(policy("a.example", sts::Mode::enforce, hours{1000}), kNow);
  cache.store(policy("a.example", sts::Mode::none, seconds{60}), kNow);
  REQUIRE(cache.find("a.example", kNow) != nullptr);
  CHECK(cache.find("a.example", kNow)->policy.mode == sts::Mode::none);
  CHECK(cache.size() == 1);
  cache.store(policy("a.example", sts::Mode::enforce, seconds{0}), kNow);
  CHECK(cache.find("a.example", kNow) == nullptr);
  CHECK(cache.size() == 0);
}

TEST_CASE("S35: a clock set back neither crashes nor lengthens a life beyond max_age") {
  sts::PolicyCache cache{10};
  cache.store(policy("a.example", sts::Mode::enforce, hours{1}), kNow);
  const sts::Time earlier = kNow - hours{24};
  const auto found = cache.find("a.example", earlier);
  REQUIRE(found != nullptr);
  CHECK(found->expires_at == earlier + hours{1});
  CHECK(cache.find("a.example", earlier + seconds{10})->expires_at == earlier + hours{1});
  CHECK(cache.find("a.example", earlier + hours{1}) == nullptr);

  // Read back from a store after the clock was set back.
  cache.store(policy("b.example", sts::Mode::enforce, hours{1}), earlier);
  CHECK(cache.find("b.example", earlier)->expires_at == earlier + hours{1});
}

TEST_CASE("S34: at its limit the cache drops lesser entries and never an unexpired enforce") {
  sts::PolicyCache cache{4};
  const auto has = [&](const std::string& domain) { return cache.find(domain, kNow) != nullptr; };
  cache.store(policy("enforce-1.example", sts::Mode::enforce, hours{1}), kNow);
  cache.store(policy("testing-1.example", sts::Mode::testing, hours{1}), kNow);
  cache.store(policy("none-1.example", sts::Mode::none, hours{1}), kNow);
  cache.set_backoff("failed.example", {"1", kNow, 1, {}});

  cache.store(policy("enforce-2.example", sts::Mode::enforce, hours{1}), kNow);
  CHECK(cache.backoff("failed.example") == nullptr);
  cache.store(policy("enforce-3.example", sts::Mode::enforce, hours{1}), kNow);
  CHECK_FALSE(has("none-1.example"));
  CHECK(has("testing-1.example"));
  cache.store(policy("enforce-4.example", sts::Mode::enforce, hours{1}), kNow);
  CHECK_FALSE(has("testing-1.example"));
  cache.store(policy("enforce-5.example", sts::Mode::enforce, hours{1}), kNow);
  cache.store(policy("testing-2.example", sts::Mode::testing, hours{1}), kNow);
  CHECK(cache.policies(kNow).size() == 5);
  for (int i = 1; i <= 5; ++i) {
    CHECK(has("enforce-" + std::to_string(i) + ".example"));
  }
}

TEST_CASE("beyond twice its limits the cache gives up enforce policies too, those in use last") {
  std::vector<std::string> evicted;
  const auto note = [&](const sts::CachedPolicy& gone) { evicted.push_back(gone.domain); };
  const auto name = [](int i) { return "d" + std::to_string(i) + ".example"; };
  const auto one = sts::octets_of(*policy(name(0), sts::Mode::enforce, hours{1}));
  // Once by the number of domains, once by the octets.
  for (const sts::CacheLimits limits :
       {sts::CacheLimits{2, 100 * one}, sts::CacheLimits{100, 2 * one}}) {
    evicted.clear();
    sts::PolicyCache cache{limits, note};
    for (int i = 0; i < 4; ++i) {
      cache.store(policy(name(i), sts::Mode::enforce, hours{1}), kNow);
    }
    CHECK(evicted.empty());
    CHECK(cache.octets() == 4 * one);
    CHECK(cache.find(name(0), kNow) != nullptr);
    cache.store(policy(name(4), sts::Mode::enforce, hours{1}), kNow);
    CHECK(evicted == std::vector<std::string>{name(1)});
    cache.store(policy(name(5), sts::Mode::testing, hours{1}), kNow);
    CHECK(evicted == std::vector<std::string>{name(1), name(5)});
    CHECK(cache.policies(kNow).size() == 4);
    cache.store(policy(name(6), sts::Mode::enforce, hours{1}, kNow), kNow + hours{1} - seconds{1});
    CHECK(evicted.back() == name(2));
    CHECK(cache.find(name(0), kNow) != nullptr);
  }
}

TEST_CASE("a cache is bounded in octets whatever the size of its policies") {
  const std::size_t limit = 1UL << 20;
  sts::PolicyCache cache{sts::CacheLimits{1'000'000, limit}};
  for (int i = 0; i < 200; ++i) {
    auto large = *policy("d" + std::to_string(i) + ".example", sts::Mode::enforce, hours{1});
    large.policy.body.assign(64UL << 10, 'x');
    cache.store(std::make_shared<const sts::CachedPolicy>(large), kNow);
    CHECK(cache.octets() <= 2 * limit);
  }
  CHECK(cache.policies(kNow).size() >= 30);
  for (int i = 0; i < 200; ++i) {
    cache.forget("d" + std::to_string(i) + ".example");
  }
  CHECK(cache.octets() == 0);
}

TEST_CASE("what takes no octets is not given up for them") {
  sts::PolicyCache cache{sts::CacheLimits{10, 1}};
  cache.set_backoff("failed.example", {"1", kNow, 1, {}});
  cache.store(policy("a.example", sts::Mode::testing, hours{1}), kNow);
  CHECK(cache.find("a.example", kNow) == nullptr);
  CHECK(cache.backoff("failed.example") != nullptr);
}

TEST_CASE("expired policies are dropped before unexpired lesser ones, the least used first") {
  sts::PolicyCache cache{3};
  cache.store(policy("short.example", sts::Mode::enforce, seconds{1}), kNow);
  cache.store(policy("testing-1.example", sts::Mode::testing, hours{1}), kNow);
  cache.store(policy("testing-2.example", sts::Mode::testing, hours{1}), kNow);
  const sts::Time later = kNow + seconds{1};
  cache.store(policy("testing-3.example", sts::Mode::testing, hours{1}, later), later);
  CHECK(cache.policies(kNow).size() == 3);
  CHECK(cache.find("testing-1.example", later) != nullptr);  // now the most recently used
  cache.store(policy("testing-4.example", sts::Mode::testing, hours{1}, later), later);
  CHECK(cache.find("testing-2.example", later) == nullptr);
  CHECK(cache.find("testing-1.example", later) != nullptr);
}

TEST_CASE("a back-off stands beside a cached policy and goes without it") {
  sts::PolicyCache cache{10};
  cache.store(policy("a.example", sts::Mode::enforce, hours{1}), kNow);
  cache.set_backoff("a.example", {"2", kNow + hours{1}, 3, {}});
  REQUIRE(cache.backoff("a.example") != nullptr);
  CHECK(cache.backoff("a.example")->failures == 3);
  cache.clear_backoff("a.example");
  CHECK(cache.backoff("a.example") == nullptr);
  CHECK(cache.find("a.example", kNow) != nullptr);
  cache.clear_backoff("unknown.example");
  cache.forget("a.example");
  cache.forget("a.example");
  CHECK(cache.size() == 0);
}

TEST_CASE("an expired policy is handed out once, for the alert about lost protection") {
  sts::PolicyCache cache{10};
  cache.store(policy("a.example", sts::Mode::enforce, hours{1}), kNow);
  CHECK(cache.take_expired("a.example", kNow) == nullptr);
  const auto lost = cache.take_expired("a.example", kNow + hours{1});
  REQUIRE(lost != nullptr);
  CHECK(lost->policy.mode == sts::Mode::enforce);
  CHECK(cache.take_expired("a.example", kNow + hours{1}) == nullptr);
  CHECK(cache.size() == 0);
}

TEST_CASE("unexpired policies are listed in the order of their domains") {
  sts::PolicyCache cache{10};
  for (const std::string domain : {"c.example", "a.example", "b.example"}) {
    cache.store(policy(domain, sts::Mode::testing, hours{1}), kNow);
  }
  cache.store(policy("aa.example", sts::Mode::testing, seconds{1}), kNow);
  const auto all = cache.policies(kNow + seconds{1});
  REQUIRE(all.size() == 3);
  CHECK(all[0]->domain == "a.example");
  CHECK(all[2]->domain == "c.example");
}

TEST_CASE("a full cache takes a hundred thousand entries in order of their number") {
  sts::PolicyCache cache{1000};
  for (int i = 0; i < 100000; ++i) {
    cache.store(policy("d" + std::to_string(i) + ".example", sts::Mode::testing, hours{1}), kNow);
  }
  CHECK(cache.size() == 1000);
  CHECK(cache.find("d99999.example", kNow) != nullptr);
}

TEST_CASE("plans are taken when they are due, the earliest first, each once") {
  sts::PolicyCache cache{10};
  for (const std::string domain : {"a.example", "b.example", "c.example"}) {
    cache.store(policy(domain, sts::Mode::enforce, hours{1}), kNow);
  }
  CHECK_FALSE(cache.next_plan());
  cache.plan("unknown.example", kNow);
  CHECK_FALSE(cache.next_plan());
  cache.plan("a.example", kNow + seconds{30});
  cache.plan("b.example", kNow + seconds{20});
  cache.plan("c.example", kNow + seconds{10});
  cache.plan("c.example", kNow + seconds{40});
  CHECK(cache.next_plan() == kNow + seconds{20});
  CHECK_FALSE(cache.take_due(kNow + seconds{19}));
  CHECK(cache.take_due(kNow + seconds{35}) == "b.example");
  CHECK(cache.take_due(kNow + seconds{35}) == "a.example");
  CHECK_FALSE(cache.take_due(kNow + seconds{35}));
  CHECK(cache.planned("c.example") == kNow + seconds{40});
  cache.store(policy("c.example", sts::Mode::none, hours{1}), kNow);
  CHECK_FALSE(cache.next_plan());
  cache.plan("a.example", kNow);
  cache.forget("a.example");
  CHECK_FALSE(cache.next_plan());
}

TEST_CASE("a policy is wanted if a delivery had it fetched or used it since") {
  sts::PolicyCache cache{10};
  CHECK_FALSE(cache.wanted("a.example"));
  cache.store(policy("a.example", sts::Mode::enforce, hours{1}), kNow);
  CHECK(cache.wanted("a.example"));
  cache.store(policy("a.example", sts::Mode::enforce, hours{1}), kNow, sts::FetchedFor::stock);
  CHECK_FALSE(cache.wanted("a.example"));
  CHECK(cache.peek("a.example", kNow) != nullptr);
  CHECK_FALSE(cache.wanted("a.example"));
  CHECK(cache.find("a.example", kNow) != nullptr);
  CHECK(cache.wanted("a.example"));
}

TEST_CASE(
    "S31: a policy is looked at again under its id once an hour, and not just after a fetch") {
  sts::PolicyCache cache{10};
  CHECK_FALSE(cache.may_recheck("a.example", kNow));
  cache.store(policy("a.example", sts::Mode::enforce, hours{10}), kNow);
  CHECK_FALSE(cache.may_recheck("a.example", kNow));
  CHECK(cache.find("a.example", kNow) != nullptr);
  CHECK(cache.may_recheck("a.example", kNow));
  cache.note_recheck("a.example", kNow);
  CHECK_FALSE(cache.may_recheck("a.example", kNow + hours{1} - seconds{1}));
  CHECK(cache.may_recheck("a.example", kNow + hours{1}));
  CHECK(cache.may_recheck("a.example", kNow - seconds{1}));  // the clock was set back
  // What was fetched in the background or read at a start needs two deliveries, too.
  cache.store(policy("b.example", sts::Mode::enforce, hours{10}), kNow, sts::FetchedFor::stock);
  CHECK(cache.find("b.example", kNow) != nullptr);
  CHECK_FALSE(cache.may_recheck("b.example", kNow));
  CHECK(cache.find("b.example", kNow) != nullptr);
  CHECK(cache.may_recheck("b.example", kNow));
}
