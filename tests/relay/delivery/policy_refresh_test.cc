// What the resolver does without being asked: refreshes, alerts, limits, and storing what it has.
#include <doctest/doctest.h>

#include "relay/net/listener.h"
#include "tests/relay/delivery/policy_world.h"
#include "tests/relay/spool/test_vfs.h"

using namespace policy_world;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    ++found;
  }
  return found;
}

}  // namespace

TEST_CASE("S19: a refresh in the background fetches although the TXT record is gone") {
  Aged world(hours(13));
  world.no_record();
  world.host.serve_body(body("testing"));
  world.resolver->begin();
  world.run_until(
      [&] { return world.resolver->fetches().running == 0 && world.host.requests() == 2; });
  world.run_until(
      [&] { return world.resolver->state("a.example").policy->policy.mode == sts::Mode::testing; });
  const auto state = world.resolver->state("a.example");
  CHECK(state.policy->id == "1");
  CHECK(state.policy->fetched_at == world.clock.wall());
  CHECK(world.resolver->refreshes() == 1);
  REQUIRE(state.refresh_at);
  CHECK(*state.refresh_at > world.clock.wall() + hours(5));
  const auto stored = world.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0]->policy.mode == sts::Mode::testing);
  CHECK(line_with(world.logged(), "policy-weakened").find("respect=mode") != std::string::npos);
}

TEST_CASE("policies read back at a start are refreshed by their age, not by the start") {
  World world;
  world.options.random = [] { return 0.5; };
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  const auto planned = world.resolver->state("a.example").refresh_at;
  REQUIRE(planned);
  CHECK(*planned == world.clock.wall() + hours(9));
  const auto stored = world.stored();
  world.clock.advance(hours(2));
  world.open_spool();
  world.start(stored);
  CHECK(world.resolver->state("a.example").refresh_at == planned);
  world.resolver->begin();
  support::settle(world.loop);
  CHECK(world.resolver->refreshes() == 0);
}

TEST_CASE("S20: refreshes that fail climb the ladder and never evict the policy") {
  Aged world(hours(10));
  world.host.answer_with("500 No");
  world.resolver->begin();
  const auto fail_once = [&] {
    const auto before = world.resolver->fetches().fetches;
    const auto due = world.resolver->state("a.example").refresh_at;
    REQUIRE(due);
    world.clock.advance(std::max(*due - world.clock.wall(), milliseconds(0)));
    world.resolver->begin();
    world.run_until([&] {
      return world.resolver->fetches().fetches > before &&
             world.resolver->state("a.example").refresh_at.has_value();
    });
  };
  fail_once();
  const auto first = world.resolver->state("a.example");
  REQUIRE(first.failing);
  CHECK(first.failing->said == sts::Alert::info);
  CHECK(first.policy->policy.mode == sts::Mode::enforce);
  CHECK(line_with(world.logged(), "policy-refresh-failing").find("level=info") !=
        std::string::npos);
  CHECK(world.resolver->gauges().failing == 1);
  CHECK(world.resolver->gauges().earliest() == first.policy->expires_at);
  const auto shown = world.resolver->gauges().failing_policies.first();
  REQUIRE(shown.size() == 1);
  CHECK(shown[0].domain == "a.example");
  CHECK(shown[0].failing.expires_at == first.policy->expires_at);
  relay::delivery::FetchFailures::Counts failures;
  world.resolver->gauges().failures.add_to(failures);
  CHECK(failures == relay::delivery::FetchFailures::Counts{
                        {{sts::DiscoveryFault::Kind::fetch_error, "http-500"}, 1}});
  // Its policy lives for a day: past the half of what is left, a mere warning is too late.
  world.clock.advance(first.policy->expires_at - world.clock.wall() - hours(1));
  fail_once();
  CHECK(world.resolver->state("a.example").failing->said == sts::Alert::error);
  const std::string line = line_with(world.logged(), "policy-refresh-failing");
  CHECK(line.find("level=error") != std::string::npos);
  CHECK(line.find("domain=a.example") != std::string::npos);
  CHECK(line.find("since=2024-07-01T") != std::string::npos);
  CHECK(line.find("expires=2024-07-02T00:00:00Z") != std::string::npos);
  CHECK(count(world.logged(), "policy-fetch-failed") == 0);
  // Unreplaced at its end: lost, once.
  world.clock.advance(hours(2));
  world.resolver->begin();
  world.run_until([&] { return world.resolver->gauges().cached == 0; });
  CHECK(count(world.logged(), "policy-lost") == 1);
  CHECK(world.resolver->gauges().failing == 0);
}

TEST_CASE("a refresh that fails for mode none is silent, to the end") {
  Aged world(hours(13), "none");
  world.host.answer_with("404 Gone");
  world.resolver->begin();
  world.run_until([&] { return world.resolver->state("a.example").backoff.has_value(); });
  world.clock.advance(hours(24));
  world.resolver->begin();
  world.run_until([&] { return world.resolver->gauges().cached == 0; });
  CHECK(world.logged().find("policy-refresh-failing") == std::string::npos);
  CHECK(world.logged().find("policy-lost") == std::string::npos);
}

TEST_CASE("a delivery does not wait for a refresh, and a new id shares its fetch") {
  Aged world(hours(13));
  world.host.close();
  world.resolver->begin();
  world.run_until([&] { return world.host.requests() == 2; });
  CHECK(world.resolve().source == Source::cache);
  world.id = "2";
  std::optional<sts::PolicyVerdict> verdict;
  const auto operation =
      world.ask("a.example", [&](const sts::PolicyVerdict& given) { verdict = given; });
  world.run_until([&] { return world.queries[kTxt] == 4; });
  support::settle(world.loop);
  CHECK_FALSE(verdict);
  world.host.open();
  world.run_until([&] { return verdict.has_value(); });
  CHECK(verdict->source == Source::fetched);
  CHECK(world.host.requests() == 2);
}

TEST_CASE("S31: with the same id one extra GET an hour is made once all hosts failed") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  // The policy is as fresh as can be.
  CHECK(world.recheck().source == Source::cache);
  CHECK(world.resolve().source == Source::cache);
  world.host.serve_body(body("testing"));
  const auto found = world.recheck();
  CHECK(found.source == Source::fetched);
  CHECK(found.policy->policy.mode == sts::Mode::testing);
  CHECK(world.host.requests() == 2);
  for (int attempt = 0; attempt < 10; ++attempt) {
    world.clock.advance(minutes(5));
    CHECK(world.resolve().source == Source::cache);
    CHECK(world.recheck().source == Source::cache);
  }
  CHECK(world.host.requests() == 2);
  world.clock.advance(minutes(10));
  CHECK(world.recheck().source == Source::fetched);
  CHECK(world.host.requests() == 3);
}

TEST_CASE("a refresh on demand fetches at once, during a back-off too") {
  World world;
  world.host.answer_with("500 No");
  world.start();
  CHECK(world.resolve().policy == nullptr);
  world.host.answer_with("200 OK");
  CHECK(world.resolve().policy == nullptr);
  CHECK(world.refresh().source == Source::fetched);
  CHECK(world.resolve().source == Source::cache);
}

TEST_CASE("hold: a first contact that takes too long says that mail must wait") {
  World world;
  world.options.first_contact_wait = milliseconds(20);
  world.options.first_contact = sts::FirstContact::hold;
  world.host.close();
  world.start();
  const auto verdict = world.resolve();
  CHECK(verdict.policy == nullptr);
  CHECK(verdict.hold.find("a.example") != std::string::npos);
  world.host.open();
}

TEST_CASE("fetches from one address are limited, and those from others go on") {
  World world;
  world.options.concurrent_fetches = 3;
  world.options.concurrent_fetches_per_host = 2;
  world.host.close();
  world.start();
  int answered = 0;
  std::vector<net::Operation> operations;
  for (const std::string domain : {"a.example", "b.example", "c.example", "d.example"}) {
    operations.push_back(world.ask(domain, [&](const sts::PolicyVerdict& verdict) {
      CHECK(verdict.source == Source::fetched);
      ++answered;
    }));
  }
  // All four have been looked up although no more than two are fetched.
  world.run_until([&] { return world.queries[kA] == 4; });
  support::settle(world.loop);
  world.host.open();
  world.run_until([&] { return answered == 4; });
  CHECK(world.resolver->fetches().peaks.at_one_address == 2);
  CHECK(world.resolver->fetches().fetches == 4);
  CHECK(world.resolver->fetches().running == 0);
}

TEST_CASE("S25: a policy that the disk has no room for is in force from memory, with an alert") {
  relay::spool::testing::TestVfs vfs("full_disk_policy");
  World world;
  world.spool.reset();
  world.vfs = vfs.name();
  world.open_spool();
  vfs.set_room(0);
  world.start();
  int n = 0;
  std::string big = body("enforce");
  while (world.resolver->gauges().unsaved == 0 && n < 200) {
    // The log's last pages take some.
    world.host.serve_body(big + "x: " + std::string(20'000, 'y') + "\n");
    world.id = std::to_string(++n);
    CHECK(world.resolve().source == Source::fetched);
    support::settle(world.loop);
  }
  world.run_until([&] { return world.resolver->gauges().unsaved > 0; });
  CHECK(world.resolve().source == Source::cache);
  CHECK(world.resolve().policy->id == world.id);
  CHECK(line_with(world.logged(), "policy-store-failed").find("level=error") != std::string::npos);
}

TEST_CASE("a first contact with 10,000 domains makes one fetch for each, within the limits") {
  constexpr int kDomains = 10'000;
  World world;
  {
    // Nobody listens there any more: to be refused is the cheapest answer.
    const auto listener = net::ListeningSocket::bind(*net::SocketAddress::from_ip("127.0.0.1", 0));
    REQUIRE(listener);
    world.options.https_port = (*listener)->address()->port();
  }
  world.options.concurrent_fetches = 16;
  world.options.concurrent_fetches_per_host = 4;
  world.options.first_contact_wait = minutes(10);
  world.start();
  int answered = 0;
  int faults = 0;
  std::vector<net::Operation> operations;
  for (int i = 0; i < kDomains; ++i) {
    for (int message = 0; message < 2; ++message) {
      operations.push_back(
          world.ask("d" + std::to_string(i) + ".example", [&](const sts::PolicyVerdict& verdict) {
            faults += verdict.fault.has_value() ? 1 : 0;
            if (++answered == 2 * kDomains) {
              world.loop.stop();
            }
          }));
    }
  }
  net::Timer guard(world.loop, [&world] { world.loop.stop(); });
  guard.start(minutes(5));
  world.loop.run();
  CHECK(answered == 2 * kDomains);
  CHECK(faults == 2 * kDomains);
  CHECK(world.queries[kTxt] == kDomains);
  CHECK(world.resolver->fetches().fetches == kDomains);
  CHECK(world.queries[kA] == kDomains);
  CHECK(world.resolver->fetches().peaks.in_all <= 16);
  CHECK(world.resolver->fetches().peaks.at_one_address <= 4);
}
