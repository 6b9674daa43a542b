#include "relay/delivery/policy_resolver.h"

#include <doctest/doctest.h>

#include "tests/relay/delivery/policy_world.h"

using namespace policy_world;

TEST_CASE("S26: a hundred deliveries at once make one TXT query and one GET") {
  World world;
  world.start();
  std::vector<net::Operation> operations;
  int answered = 0;
  for (int i = 0; i < 100; ++i) {
    operations.push_back(world.ask("a.example", [&](const sts::PolicyVerdict& verdict) {
      CHECK(verdict.policy != nullptr);
      if (++answered == 100) {
        world.loop.stop();
      }
    }));
  }
  CHECK(answered == 0);
  support::run(world.loop);
  CHECK(answered == 100);
  CHECK(world.queries[kTxt] == 1);
  CHECK(world.host.requests() == 1);
}

TEST_CASE("a fetched policy is cached, stored and used without a second fetch") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  CHECK(world.resolve().source == Source::cache);
  CHECK(world.host.requests() == 1);
  CHECK(world.resolver->cache().size() == 1);
  const auto stored = world.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0]->domain == "a.example");
  CHECK(stored[0]->policy.body == body("enforce"));
}

TEST_CASE("lookups for mail are counted by what was found; those at one moment are one") {
  World world;
  world.start();
  const auto found = [&world](relay::delivery::PolicyFound kind) {
    return world.resolver->gauges().lookups.at(static_cast<std::size_t>(kind)).load();
  };
  using relay::delivery::PolicyFound;
  const auto together = world.ask("a.example", [](const sts::PolicyVerdict& /*verdict*/) {});
  world.resolve();
  world.resolve();
  world.resolve();
  CHECK(found(PolicyFound::fetched) == 1);
  CHECK(found(PolicyFound::cached) == 2);
  world.host.answer_with("500 No");
  world.resolve("b.example");
  world.no_record();
  world.resolve("c.example");
  world.refresh("c.example");  // not for mail
  world.name_server.set_script([](const support::DnsAsked& asked) {
    return std::vector<std::string>{support::DnsPacket(asked.question).rcode(2).bytes()};
  });
  world.resolve("d.example");
  CHECK(found(PolicyFound::failed) == 1);
  CHECK(found(PolicyFound::absent) == 1);
  CHECK(found(PolicyFound::unknown) == 1);
  CHECK(found(PolicyFound::fetched) == 1);
  CHECK(found(PolicyFound::cached) == 2);
}

TEST_CASE("policies loaded at the start are used, expired ones stay on disk and are told once") {
  World world;
  world.start();
  CHECK(world.resolve("a.example").source == Source::fetched);
  CHECK(world.resolve("b.example").source == Source::fetched);
  auto stored = world.stored();
  REQUIRE(stored.size() == 2);
  auto expired = *stored[1];
  CHECK(expired.domain == "b.example");
  expired.expires_at = world.clock.wall();
  stored[1] = std::make_shared<const sts::CachedPolicy>(expired);
  world.open_spool();
  world.start(stored);
  CHECK(world.resolver->cache().size() == 1);
  CHECK(world.resolve("a.example").source == Source::cache);
  CHECK(world.resolver->known(*net::DomainName::parse("b.example")).policy == nullptr);
  auto loaded = world.on_disk();
  REQUIRE(loaded.policies.size() == 2);
  loaded.policies = stored;
  world.open_spool();
  world.start(loaded);
  const std::string logged = world.logged();
  const auto at = logged.find("policy-lost");
  REQUIRE(at != std::string::npos);
  CHECK(logged.find("policy-lost", at + 1) == std::string::npos);
}

TEST_CASE("a clock that is wrongly ahead at a start costs no policy") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  world.clock.advance(std::chrono::hours(24 * 20));
  world.restart();
  CHECK(world.resolver->cache().policies(world.clock.wall()).empty());
  world.clock.advance(-std::chrono::hours(24 * 20));
  world.restart();
  world.no_record();
  const auto verdict = world.resolve();
  REQUIRE(verdict.policy != nullptr);
  CHECK(verdict.policy->policy.mode == sts::Mode::enforce);
}

TEST_CASE("a life shortened because the clock was set back stays short after a restart") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  auto stored = world.stored();
  world.clock.advance(-std::chrono::hours(24));
  world.open_spool();
  world.start(stored);
  stored = world.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0]->expires_at == world.clock.wall() + std::chrono::hours(24));
}

TEST_CASE("cancelling one delivery leaves the others waiting for the same answer") {
  World world;
  world.start();
  bool cancelled_called = false;
  std::optional<net::Operation> cancelled = world.ask(
      "a.example", [&](const sts::PolicyVerdict& /*verdict*/) { cancelled_called = true; });
  const auto kept =
      world.ask("a.example", [&](const sts::PolicyVerdict& /*verdict*/) { world.loop.stop(); });
  cancelled.reset();
  support::run(world.loop);
  CHECK_FALSE(cancelled_called);
  CHECK(world.host.requests() == 1);
}

TEST_CASE("A25: a delivery waits its budget, the fetch goes on and serves the next one") {
  World world;
  world.options.first_contact_wait = milliseconds(20);
  world.host.close();
  world.start();
  const auto first = world.resolve();
  CHECK(first.policy == nullptr);
  REQUIRE(first.fault);
  CHECK(first.fault->reason == "timeout");
  CHECK(world.resolver->cache().size() == 0);
  world.host.open();
  sts::PolicyVerdict next = world.resolve();
  while (next.policy == nullptr) {
    next = world.resolve();
  }
  CHECK(next.policy->policy.mode == sts::Mode::enforce);
  CHECK(world.host.requests() == 1);
}

TEST_CASE("F24: a policy host at a private address is not connected to") {
  World world;
  world.options.private_addresses = PrivateAddresses::refused;
  world.start();
  const auto verdict = world.resolve();
  CHECK(verdict.policy == nullptr);
  REQUIRE(verdict.fault);
  CHECK(verdict.fault->reason == "address-refused");
  CHECK(world.host.requests() == 0);
  CHECK(world.logged().find("policy-fetch-failed") != std::string::npos);
}

TEST_CASE("more domains than fetches allowed at once are served one after the other") {
  World world;
  world.options.concurrent_fetches = 1;
  world.start();
  std::vector<net::Operation> operations;
  int answered = 0;
  for (const std::string domain : {"a.example", "b.example", "c.example"}) {
    operations.push_back(world.ask(domain, [&](const sts::PolicyVerdict& verdict) {
      CHECK(verdict.source == Source::fetched);
      if (++answered == 3) {
        world.loop.stop();
      }
    }));
  }
  support::run(world.loop);
  CHECK(world.host.requests() == 3);
}

TEST_CASE("a policy that takes back enforce is obeyed at once, with a warning") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  world.host.serve_body(body("testing"));
  world.id = "2";
  CHECK(world.resolve().policy->policy.mode == sts::Mode::testing);
  CHECK(world.logged().find("policy-weakened") != std::string::npos);
}

TEST_CASE("S17: a policy that expired unreplaced is named in a warning, once") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  world.clock.advance(std::chrono::hours(24));
  world.name_server.set_script([](const support::DnsAsked& asked) {
    return std::vector<std::string>{support::DnsPacket(asked.question).rcode(3).bytes()};
  });
  CHECK(world.resolve().policy == nullptr);
  CHECK(world.resolve().policy == nullptr);
  const std::string logged = world.logged();
  const auto at = logged.find("policy-lost");
  REQUIRE(at != std::string::npos);
  CHECK(logged.find("policy-lost", at + 1) == std::string::npos);
  // Not in force, but there until the clock is beyond doubt.
  CHECK(world.stored().size() == 1);
  world.restart();
  CHECK(world.logged() == logged);
}

TEST_CASE("an answer may destroy the resolver while others wait for it") {
  World world;
  world.start();
  int answered = 0;
  std::vector<net::Operation> operations;
  for (int i = 0; i < 3; ++i) {
    operations.push_back(world.ask("a.example", [&](const sts::PolicyVerdict& /*verdict*/) {
      ++answered;
      operations.clear();
      world.resolver.reset();
      world.loop.stop();
    }));
  }
  support::run(world.loop);
  CHECK(answered == 1);
}

TEST_CASE("a resolver that goes leaves no callback behind") {
  World world;
  world.options.first_contact_wait = milliseconds(1);
  world.start();
  bool called = false;
  const auto operation =
      world.ask("a.example", [&](const sts::PolicyVerdict& /*verdict*/) { called = true; });
  world.resolver.reset();
  net::Timer later(world.loop, [&] { world.loop.stop(); });
  later.start(milliseconds(20));
  support::run(world.loop);
  CHECK_FALSE(called);
}
