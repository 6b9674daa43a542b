// Troubles with policies on disk.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/spool/spool.h"
#include "tests/relay/spool/fixture.h"

namespace relay::spool::testing {
namespace {

using Kind = sts::DiscoveryFault::Kind;

const net::WallTime kNow{std::chrono::milliseconds(1'770'000'000'123)};

sts::FetchBackoff backoff(std::optional<sts::DiscoveryFault> fault) {
  return {"20260101", kNow + std::chrono::hours(1), 3, std::move(fault), kNow};
}

sts::FailingRefresh failing(Kind kind) {
  return {kNow - std::chrono::hours(30), sts::Alert::warning, {kind, "http-503"}, {}};
}

std::vector<PolicyTrouble> read(SpoolReader& reader) {
  std::vector<PolicyTrouble> found;
  REQUIRE(reader.each_trouble([&](PolicyTrouble trouble) { found.push_back(std::move(trouble)); }));
  return found;
}

}  // namespace

TEST_CASE("troubles with policies are read back as they were stored, empty ones are removed") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  const std::vector<PolicyTrouble> troubles = {
      {"a.example", backoff(sts::DiscoveryFault{Kind::fetch_error, "http-404"}), {}, {}},
      {"b.example", backoff(std::nullopt), failing(Kind::webpki_invalid), {}},
      {"c.example", {}, failing(Kind::policy_invalid), PolicyTrouble::Loss::told},
      {"d.example", {}, {}, PolicyTrouble::Loss::told}};
  {
    const auto spool = open_spool(directory.spool(), clock);
    for (const auto& trouble : troubles) {
      spool->save_trouble(trouble, kNow);
    }
    spool->save_trouble({"gone.example", backoff(std::nullopt), {}, {}}, kNow);
    spool->save_trouble({"gone.example", {}, {}, {}}, kNow);
  }
  const auto spool = open_spool(directory.spool(), clock);
  const auto found = read(*open_reader(directory.spool()));
  REQUIRE(found.size() == troubles.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(troubles[i].domain);
    CHECK(found[i].domain == troubles[i].domain);
    CHECK(found[i].loss == troubles[i].loss);
    REQUIRE(found[i].backoff.has_value() == troubles[i].backoff.has_value());
    if (found[i].backoff) {
      CHECK(found[i].backoff->id == troubles[i].backoff->id);
      CHECK(found[i].backoff->retry_at == troubles[i].backoff->retry_at);
      CHECK(found[i].backoff->failures == troubles[i].backoff->failures);
      CHECK(found[i].backoff->tried_at == troubles[i].backoff->tried_at);
      CHECK(found[i].backoff->fault == troubles[i].backoff->fault);
    }
    REQUIRE(found[i].failing.has_value() == troubles[i].failing.has_value());
    if (found[i].failing) {
      CHECK(found[i].failing->since == troubles[i].failing->since);
      CHECK(found[i].failing->said == troubles[i].failing->said);
      CHECK(found[i].failing->fault == troubles[i].failing->fault);
    }
  }
}

TEST_CASE("a policy that is stored or forgotten ends what was remembered of its domain") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  {
    const auto spool = open_spool(directory.spool(), clock);
    for (const std::string domain : {"stored.example", "forgotten.example", "kept.example"}) {
      spool->save_trouble({domain, backoff(std::nullopt), {}, {}}, kNow);
    }
    sts::CachedPolicy policy;
    policy.domain = "stored.example";
    spool->save_policy(policy);
    spool->forget_policy("forgotten.example");
  }
  const auto spool = open_spool(directory.spool(), clock);
  const auto found = read(*open_reader(directory.spool()));
  REQUIRE(found.size() == 1);
  CHECK(found[0].domain == "kept.example");
}

TEST_CASE("troubles of domains that nobody asked for in 30 days are removed") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  spool->save_trouble({"a.example", backoff(std::nullopt), {}, {}}, kNow);
  spool->save_trouble({"b.example", backoff(std::nullopt), {}, {}}, kNow + std::chrono::hours(1));
  const auto removed = thread.ask<Stored<std::size_t>>([&](auto answer) {
    spool->purge_policies(kNow + std::chrono::hours(24 * 30) + std::chrono::seconds(1),
                          thread.loop(), answer);
  });
  CHECK(*removed == 1);
  const auto found = read(*open_reader(directory.spool()));
  REQUIRE(found.size() == 1);
  CHECK(found[0].domain == "b.example");
}

}  // namespace relay::spool::testing
