// Policies on disk: their history, damaged rows, and spools of older versions.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/spool/spool.h"
#include "tests/relay/spool/fixture.h"

namespace relay::spool::testing {
namespace {

sts::CachedPolicy policy(const std::string& domain, const std::string& id,
                         const std::string& mode = "enforce", int max_age = 86400) {
  auto parsed = sts::parse_policy("version: STSv1\nmode: " + mode + "\nmx: mx." + domain +
                                      "\nmax_age: " + std::to_string(max_age) + "\n",
                                  sts::Strictness::strict);
  REQUIRE(parsed.policy);
  const sts::Time fetched{std::chrono::milliseconds(1'770'000'000'000)};
  return {domain, id, std::move(*parsed.policy), fetched, fetched + std::chrono::seconds(max_age)};
}

PolicyWrite write(int second, const std::string& why, int history = 5) {
  return {net::WallTime(std::chrono::seconds(second)), why, history};
}

std::vector<std::string> ids(const std::vector<ReplacedPolicy>& history) {
  std::vector<std::string> found;
  for (const auto& each : history) {
    found.push_back(each.id);
  }
  return found;
}

}  // namespace

TEST_CASE("a replaced policy goes into its domain's history, the last ones are kept") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  {
    const auto spool = open_spool(directory.spool(), clock);
    spool->save_policy(policy("a.example", "1"));
    // Fetched again as it is: nothing was replaced.
    spool->save_policy(policy("a.example", "1"), write(1, "refreshed"));
    spool->save_policy(policy("a.example", "2", "testing"), write(2, "new id"));
    spool->save_policy(policy("a.example", "2", "none"), write(3, "changed under the same id"));
    spool->save_policy(policy("b.example", "9"));
    spool->forget_policy("b.example", write(4, "expired"));
    spool->forget_policy("c.example", write(5, "expired"));
  }
  {
    const auto spool = open_spool(directory.spool(), clock);
    const auto reader = open_reader(directory.spool());
    const auto history = *reader->policy_history("a.example");
    REQUIRE(ids(history) == std::vector<std::string>{"2", "1"});
    CHECK(history[0].mode == sts::Mode::testing);
    CHECK(history[0].why == "changed under the same id");
    CHECK(history[0].replaced_at == net::WallTime(std::chrono::seconds(3)));
    CHECK(history[1].mode == sts::Mode::enforce);
    CHECK(history[1].max_age == std::chrono::seconds(86400));
    CHECK(history[1].body == policy("a.example", "1").policy.body);
    CHECK(history[1].fetched_at == policy("a.example", "1").fetched_at);
    CHECK(history[1].why == "new id");
    CHECK((*reader->policy_history("b.example")).at(0).why == "expired");
    CHECK((*reader->policy_history("c.example")).empty());
    for (int i = 10; i < 20; ++i) {
      spool->save_policy(policy("a.example", std::to_string(i)), write(i, "new id", 3));
    }
  }
  const auto spool = open_spool(directory.spool(), clock);
  CHECK(ids(*open_reader(directory.spool())->policy_history("a.example")) ==
        std::vector<std::string>{"18", "17", "16"});
}

TEST_CASE("a policy is told to be on disk only once it is") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto stored = thread.ask<Stored<void>>([&](auto answer) {
    auto how = write(1, "new id");
    how.loop = &thread.loop();
    how.done = [answer](const Stored<void>& result) { answer(result); };
    spool->save_policy(policy("a.example", "1"), how);
  });
  REQUIRE(stored);
  REQUIRE(*reader->policy("a.example") != nullptr);
  CHECK((*reader->policy("a.example"))->id == "1");
  CHECK(*reader->policy("b.example") == nullptr);
}

TEST_CASE("a stored policy that is not what was written is handed on as damaged") {
  const std::vector<std::string> damages = {
      "body = replace(body, 'enforce', 'testing')", "mode = 'testing'", "mode = 'x'",
      "mx = '*.attacker.example' || char(10)",      "mx = '*'",         "max_age = 5",
      "expires_at = expires_at + 1000000000",       "id = '2'"};
  for (const std::string& damage : damages) {
    CAPTURE(damage);
    const TemporaryDirectory directory;
    const ManualClock clock;
    {
      const auto spool = open_spool(directory.spool(), clock);
      spool->save_policy(policy("a.example", "1"));
      spool->save_policy(policy("b.example", "1"));
    }
    run_sql(directory.database(),
            "UPDATE sts_policies SET " + damage + " WHERE domain = 'a.example'");
    const auto spool = open_spool(directory.spool(), clock);
    const auto reader = open_reader(directory.spool());
    std::vector<std::string> sound;
    std::vector<std::string> damaged;
    REQUIRE(reader->each_policy([&](const SpoolReader::StoredPolicy& each) {
      each ? sound.push_back((*each)->domain) : damaged.push_back(each.error());
    }));
    CHECK(sound == std::vector<std::string>{"b.example"});
    CHECK(damaged == std::vector<std::string>{"a.example"});
    CHECK(*reader->policy("a.example") == nullptr);
  }
}

TEST_CASE(
    "expired policies stay for 30 days and history for 180, whether or not a domain comes back") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto end = policy("a.example", "1").expires_at;
  const auto purge = [&](net::WallTime now) {
    const auto removed = thread.ask<Stored<std::size_t>>(
        [&](auto answer) { spool->purge_policies(now, thread.loop(), answer); });
    REQUIRE(removed);
    return *removed;
  };
  const auto days = [](int count) { return std::chrono::hours(24 * count); };
  spool->save_policy(policy("a.example", "1"));
  spool->save_policy(policy("later.example", "1", "enforce", 86401));
  spool->save_policy(policy("old.example", "1"));
  spool->forget_policy("old.example", {end, "expired", 5});
  spool->save_policy(policy("old.example", "2", "enforce", 31557600));
  spool->save_policy(policy("damaged.example", "1"));
  CHECK(purge(end + days(30)) == 0);
  run_sql(directory.database(),
          "UPDATE sts_policies SET expires_at = 1 << 60 WHERE domain = 'damaged.example'");
  CHECK(purge(end + days(30) + std::chrono::milliseconds(1)) == 1);
  CHECK(*reader->policy("a.example") == nullptr);
  CHECK(*reader->policy("later.example") != nullptr);
  CHECK(purge(end + days(180)) == 1);
  CHECK((*reader->policy_history("old.example")).size() == 1);
  CHECK(purge(end + days(180) + std::chrono::milliseconds(1)) == 1);
  CHECK((*reader->policy_history("old.example")).empty());
  CHECK(*reader->policy("old.example") != nullptr);
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM sts_policies") == "2");
  // A year and a month after its fetch whatever its row says.
  CHECK(purge(end + days(396)) == 2);
  CHECK(run_sql(directory.database(), "SELECT count(*) FROM sts_policies") == "0");
}

TEST_CASE("what is too old is removed in parts until nothing is left") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  constexpr std::size_t kPolicies = 1200;
  for (std::size_t i = 0; i < kPolicies; ++i) {
    spool->save_policy(policy("d" + std::to_string(i) + ".example", "1"));
  }
  std::size_t removed = 0;
  std::size_t parts = 0;
  for (std::size_t last = 1; last > 0; ++parts) {
    const auto answer = thread.ask<Stored<std::size_t>>([&](auto done) {
      spool->purge_policies(net::WallTime(std::chrono::hours(24 * 365 * 60)), thread.loop(), done);
    });
    REQUIRE(answer);
    last = *answer;
    removed += last;
  }
  CHECK(removed == kPolicies);
  CHECK(parts > 2);
}

TEST_CASE("policies are read in pages by domain") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  {
    const auto spool = open_spool(directory.spool(), clock);
    for (const std::string domain : {"c.example", "a.example", "b.example"}) {
      spool->save_policy(policy(domain, "1"));
    }
  }
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto first = *reader->policies("", 2);
  REQUIRE(first.size() == 2);
  CHECK(first[1]->domain == "b.example");
  const auto second = *reader->policies("b.example", 2);
  REQUIRE(second.size() == 1);
  CHECK(second[0]->domain == "c.example");
}

TEST_CASE("a spool of the first version is brought up to date with everything in it") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  MessageId id(0);
  {
    const auto spool = open_spool(directory.spool(), clock);
    id = store(*spool, thread, envelope_to({"a.example"}), size_of(MessageId(1)));
    spool->save_policy(policy("a.example", "1"));
  }
  // As version 1 left it.
  forget_reports(directory.database());
  run_sql(directory.database(), "DROP TABLE sts_troubles");
  run_sql(directory.database(), "DROP INDEX sts_policies_by_end");
  run_sql(directory.database(), "DROP TABLE policy_overrides");
  run_sql(directory.database(), "DROP TABLE sts_policy_history");
  run_sql(directory.database(), "ALTER TABLE sts_policies DROP COLUMN crc");
  run_sql(directory.database(), "PRAGMA user_version = 1");
  CHECK_FALSE(SpoolReader::open(directory.spool()));
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  CHECK(run_sql(directory.database(), "PRAGMA user_version") != "1");
  REQUIRE(*reader->policy("a.example") != nullptr);
  CHECK((*reader->policy("a.example"))->policy.mode == sts::Mode::enforce);
  CHECK(*reader->envelope(id, ""));
  spool->save_policy(policy("a.example", "2"), write(2, "new id"));
  static_cast<void>(store(*spool, thread, envelope_to({"a.example"}), 100));
  CHECK(ids(*reader->policy_history("a.example")) == std::vector<std::string>{"1"});
}

}  // namespace relay::spool::testing
