// What of policies and of troubles with them a restart finds, and what a full cache gives up.
#include "relay/delivery/policy_keeper.h"

#include <doctest/doctest.h>

#include "tests/relay/delivery/policy_world.h"

using namespace policy_world;
using std::chrono::hours;
using std::chrono::minutes;

TEST_CASE("a restart neither ends a back-off nor forgets since when a refresh fails") {
  Aged world(hours(13));
  world.host.answer_with("500 No");
  world.resolver->begin();
  world.run_until([&] { return world.resolver->state("a.example").failing.has_value(); });
  const auto before = world.resolver->state("a.example");
  world.clock.advance(minutes(1));
  world.restart();
  const auto after = world.resolver->state("a.example");
  REQUIRE(after.failing);
  CHECK(after.failing->since == before.failing->since);
  CHECK(after.failing->said == sts::Alert::info);
  CHECK(after.failing->fault == before.failing->fault);
  CHECK(after.failing->expires_at == before.policy->expires_at);
  REQUIRE(after.backoff);
  CHECK(after.backoff->retry_at == before.backoff->retry_at);
  CHECK(after.refresh_at == before.backoff->retry_at);
  CHECK(world.resolver->gauges().failing == 1);
  // A policy that is had ends it for good.
  world.host.answer_with("200 OK");
  CHECK(world.refresh().source == Source::fetched);
  CHECK_FALSE(world.resolver->state("a.example").failing);
  CHECK(world.on_disk().troubles.empty());
}

TEST_CASE("a restart keeps the wait before a first policy is asked for again") {
  World world;
  world.host.answer_with("500 No");
  world.start();
  CHECK(world.resolve().policy == nullptr);
  world.restart();
  CHECK(world.resolve().policy == nullptr);
  CHECK(world.host.requests() == 1);
  REQUIRE(world.resolver->state("a.example").backoff);
  CHECK(world.resolver->state("a.example").backoff->failures == 1);
}

TEST_CASE("a restart keeps the second look at a policy that its id ran ahead of") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  world.id = "2";
  CHECK(world.resolve().source == Source::fetched);
  world.restart();
  const auto backoff = world.resolver->state("a.example").backoff;
  REQUIRE(backoff);
  CHECK_FALSE(backoff->fault);
  world.host.serve_body(body("testing"));
  world.clock.advance(minutes(10));
  CHECK(world.resolve().policy->policy.mode == sts::Mode::testing);
}

TEST_CASE("a policy that has to make room goes from the disk too, an enforced one with a warning") {
  World world;
  world.cache_capacity = 1;
  world.start();
  for (const std::string domain : {"a.example", "b.example", "c.example"}) {
    CHECK(world.resolve(domain).source == Source::fetched);
  }
  CHECK(world.resolver->gauges().cached == 2);
  const std::string line = line_with(world.logged(), "policy-evicted");
  CHECK(line.find("level=warning") != std::string::npos);
  CHECK(line.find("domain=a.example") != std::string::npos);
  world.host.serve_body(body("testing"));
  CHECK(world.resolve("d.example").source == Source::fetched);
  auto stored = world.stored();
  REQUIRE(stored.size() == 2);
  CHECK(stored[0]->domain == "b.example");
  CHECK(stored[1]->domain == "c.example");
}

TEST_CASE("a start with a smaller cache keeps no more on disk than it holds") {
  World world;
  world.start();
  for (const std::string domain : {"a.example", "b.example", "c.example", "d.example"}) {
    CHECK(world.resolve(domain).source == Source::fetched);
  }
  world.cache_capacity = 1;
  world.restart();
  CHECK(world.resolver->gauges().cached == 2);
  CHECK(world.stored().size() == 2);
}
