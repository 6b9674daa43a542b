// The operator's overrides: on disk once told so, and there after a restart.
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/spool/spool.h"
#include "tests/relay/spool/fixture.h"

namespace relay::spool::testing {

namespace {

Stored<void> save(Spool& spool, LoopThread& thread, const PolicyOverride& rule) {
  return thread.ask<Stored<void>>([&](std::function<void(Stored<void>)> done) {
    spool.save_override(rule, thread.loop(), std::move(done));
  });
}

Stored<std::size_t> remove(Spool& spool, LoopThread& thread, const std::string& domain) {
  return thread.ask<Stored<std::size_t>>([&](std::function<void(Stored<std::size_t>)> done) {
    spool.remove_override(domain, thread.loop(), std::move(done));
  });
}

PolicyOverride full_override() {
  PolicyOverride rule;
  rule.domain = "*.a.example";
  rule.level = "fingerprint";
  rule.mx = {"mx.a.example", "*.b.example"};
  rule.fingerprints = {std::string(64, 'a'), std::string(64, 'b')};
  rule.until = net::WallTime(std::chrono::milliseconds(1'790'000'000'001));
  rule.reason = "ticket \"123\", ü";
  rule.effect = PolicyOverride::Effect::report_only;
  rule.by = "uid:1000";
  rule.set_at = net::WallTime(std::chrono::milliseconds(1'770'000'000'002));
  rule.state = PolicyOverride::State::ended;
  return rule;
}

}  // namespace

TEST_CASE("overrides: every field is there after a restart, replaced and removed ones are not") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  const PolicyOverride full = full_override();
  PolicyOverride bare;
  bare.domain = "b.example";
  bare.level = "verify";
  {
    const auto spool = open_spool(directory.spool(), clock);
    LoopThread thread;
    PolicyOverride older = full;
    older.level = "encrypt";
    REQUIRE(save(*spool, thread, older));
    REQUIRE(save(*spool, thread, full));
    REQUIRE(save(*spool, thread, bare));
    PolicyOverride gone = bare;
    gone.domain = "gone.example";
    REQUIRE(save(*spool, thread, gone));
    CHECK(open_reader(directory.spool())->overrides()->size() == 3);
    CHECK(remove(*spool, thread, "gone.example") == std::size_t{1});
    CHECK(remove(*spool, thread, "gone.example") == std::size_t{0});
  }
  const auto spool = open_spool(directory.spool(), clock);
  const auto rules = open_reader(directory.spool())->overrides();
  REQUIRE(rules);
  CHECK(*rules == std::vector{full, bare});
}

TEST_CASE("overrides: a spool of the version before takes them, and keeps its mail") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  std::optional<MessageId> id;
  {
    const auto spool = open_spool(directory.spool(), clock);
    LoopThread thread;
    id = store(*spool, thread, envelope_to({"a.example"}), 100);
  }
  forget_reports(directory.database());
  run_sql(directory.database(), "DROP TABLE sts_troubles");
  run_sql(directory.database(), "DROP INDEX sts_policies_by_end");
  run_sql(directory.database(), "DROP INDEX sts_policy_history_by_age");
  run_sql(directory.database(), "DROP TABLE policy_overrides");
  run_sql(directory.database(), "PRAGMA user_version = 2");
  const auto spool = open_spool(directory.spool(), clock);
  LoopThread thread;
  REQUIRE(save(*spool, thread, full_override()));
  const auto reader = open_reader(directory.spool());
  CHECK(*reader->overrides() == std::vector{full_override()});
  CHECK(read_content(*reader, *id) == content_of(*id, 100));
}

}  // namespace relay::spool::testing
