// What the spool keeps beside mail: policies, counts, ids; and whom it lets in.
#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "relay/spool/spool.h"
#include "tests/relay/spool/fixture.h"

namespace relay::spool::testing {

TEST_CASE("policies: every field is there after a restart, replaced and forgotten ones are not") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  sts::CachedPolicy policy;
  policy.domain = "example.com";
  policy.id = "20260203T1";
  policy.policy.mode = sts::Mode::enforce;
  policy.policy.max_age = std::chrono::seconds(31'557'600);
  policy.policy.mx = {*sts::MxPattern::parse("mx.example.com"),
                      *sts::MxPattern::parse("*.example.net")};
  policy.policy.body = "version: STSv1\r\nmode: enforce\r\nx: " + std::string(1, '\0') + "\xff\r\n";
  policy.fetched_at = sts::Time(std::chrono::milliseconds(1'770'000'000'001));
  policy.expires_at = policy.fetched_at + policy.policy.max_age;
  {
    const auto spool = open_spool(directory.spool(), clock);
    auto other = policy;
    other.id = "older";
    other.policy.mode = sts::Mode::testing;
    spool->save_policy(other);
    spool->save_policy(policy);
    other.domain = "gone.example";
    spool->save_policy(other);
    spool->forget_policy("gone.example");
    other.domain = "none.example";
    other.policy.mode = sts::Mode::none;
    other.policy.mx.clear();
    spool->save_policy(other);
  }
  const auto spool = open_spool(directory.spool(), clock);
  const auto stored = *open_reader(directory.spool())->policies("", 10);
  REQUIRE(stored.size() == 2);
  const std::vector<sts::CachedPolicy> policies = {*stored[0], *stored[1]};
  CHECK(policies[0].domain == policy.domain);
  CHECK(policies[0].id == policy.id);
  CHECK(policies[0].policy.mode == sts::Mode::enforce);
  CHECK(policies[0].policy.max_age == policy.policy.max_age);
  CHECK(policies[0].policy.mx == policy.policy.mx);
  CHECK(policies[0].policy.body == policy.policy.body);
  CHECK(policies[0].fetched_at == policy.fetched_at);
  CHECK(policies[0].expires_at == policy.expires_at);
  CHECK(policies[1].policy.mode == sts::Mode::none);
  CHECK(policies[1].policy.mx.empty());
}

TEST_CASE("counts: what is stored equals what a tally counts, over restarts and days") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  std::vector<rpt::SessionResult> sessions = {session("example.com"), session("example.com"),
                                              session("example.net")};
  auto failed = session("example.com");
  failed.policies[0].failures = {
      {rpt::ResultType::certificate_host_mismatch, "192.0.2.1", "mx.example.com",
       "mx.example.com ready", "2001:DB8:0:0::1", "X509-62"},
      {rpt::ResultType::certificate_expired, "192.0.2.1", "mx.example.com", "", "", ""}};
  auto by_two_policies = failed;
  by_two_policies.policies.push_back(
      {{rpt::PolicyType::tlsa, {"3 1 1 ab"}, "example.com", {}}, {}});
  sessions.insert(sessions.end(), {failed, failed, by_two_policies});
  auto next_day = failed;
  next_day.ended_at += std::chrono::days(1);

  rpt::Tally expected;
  for (int round = 0; round < 2; ++round) {
    const auto spool = open_spool(directory.spool(), clock);
    const auto id = store(*spool, thread, envelope_to({"example.com"}), 10);
    auto settlement = delivered(id);
    settlement.sessions = sessions;
    REQUIRE(settle(*spool, thread, settlement));
    spool->count({next_day});
    for (const auto& each : sessions) {
      expected.add(each);
    }
  }
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto tally = reader->tally(session_day());
  REQUIRE(tally);
  REQUIRE(tally->counts().size() == expected.counts().size());
  for (const auto& entry : expected.counts()) {
    const auto& counts = entry.second;
    CAPTURE(entry.first.first);
    const auto found = tally->counts().find(entry.first);
    REQUIRE(found != tally->counts().end());
    CHECK(found->second.successful_sessions == counts.successful_sessions);
    CHECK(found->second.failed_sessions == counts.failed_sessions);
    CHECK(found->second.failures == counts.failures);
  }
  rpt::Tally other;
  other.add(next_day);
  other.add(next_day);
  const auto second_day = *reader->tally(session_day() + std::chrono::days(1));
  REQUIRE(second_day.counts().size() == 1);
  CHECK(second_day.counts().begin()->second.failures == other.counts().begin()->second.failures);
  CHECK(reader->tally(session_day() - std::chrono::days(1))->counts().empty());
}

TEST_CASE("counts: kinds of failures beyond a thousand of a policy share a row, none is lost") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  constexpr std::size_t kKinds = 1200;
  std::vector<rpt::SessionResult> sessions;
  for (std::size_t i = 0; i < kKinds; ++i) {
    auto failed = session("example.com");
    // What a peer may vary at will.
    failed.policies[0].failures = {{rpt::ResultType::certificate_expired, "192.0.2.1",
                                    "mx.example.com", "mx" + std::to_string(i) + ".example.com",
                                    "192.0.2.2", ""}};
    sessions.push_back(failed);
  }
  {
    const auto spool = open_spool(directory.spool(), clock);
    spool->count(sessions);
    spool->count({sessions.front()});  // a kind that has its row goes on having it
  }
  const auto tally = *open_reader(directory.spool())->tally(session_day());
  REQUIRE(tally.counts().size() == 1);
  const rpt::PolicyCounts& counts = tally.counts().begin()->second;
  CHECK(counts.failed_sessions == kKinds + 1);
  CHECK(counts.failures.size() == 1001);
  std::uint64_t sum = 0;
  for (const auto& [failure, count] : counts.failures) {
    sum += count;
  }
  CHECK(sum == kKinds + 1);
  const auto count_of = [&counts](const rpt::FailureDetail& failure) {
    const auto found = counts.failures.find(failure);
    return found == counts.failures.end() ? 0 : found->second;
  };
  CHECK(count_of(rpt::folded_detail(rpt::ResultType::certificate_expired, 1)) == kKinds - 1000);
  CHECK(count_of(sessions.front().policies[0].failures[0]) == 2);
}

TEST_CASE("ids: rise within a run, over restarts, and when the clock is set back") {
  const TemporaryDirectory directory;
  ManualClock clock;
  LoopThread thread;
  MessageId last{0};
  for (int round = 0; round < 4; ++round) {
    const auto spool = open_spool(directory.spool(), clock);
    std::set<MessageId> ids;
    for (int n = 0; n < 1000; ++n) {
      const auto id = spool->new_id();
      CHECK(id > last);
      last = id;
    }
    // Delivered: nothing but the ceiling remembers the id.
    const auto id = store(*spool, thread, envelope_to({"example.com"}), 10);
    CHECK(id > last);
    last = id;
    REQUIRE(settle(*spool, thread, delivered(id)));
    clock.set_wall(clock.wall() - std::chrono::hours(24));
  }
  clock.set_wall(net::WallTime(std::chrono::milliseconds(1'780'000'000'000)));
  const auto spool = open_spool(directory.spool(), clock);
  CHECK(spool->new_id().value() > last.value() + 1000);
}

TEST_CASE("open: a second daemon is refused with the first one's pid and the directory") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  const auto first = open_spool(directory.spool(), clock);
  const auto second = Spool::open(options_for(directory.spool()), clock);
  REQUIRE_FALSE(second);
  CHECK(second.error().find("pid " + std::to_string(::getpid())) != std::string::npos);
  CHECK(second.error().find(directory.spool()) != std::string::npos);
}

TEST_CASE("open: directory and file are the owner's alone; others' access is warned about") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  {
    const auto spool = open_spool(directory.spool(), clock);
    struct stat status {};
    REQUIRE(::stat(directory.spool().c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0700);
    for (const auto& file : std::filesystem::directory_iterator(directory.spool())) {
      CAPTURE(file.path());
      REQUIRE(::stat(file.path().c_str(), &status) == 0);
      CHECK((status.st_mode & 07777) == 0600);
    }
  }
  REQUIRE(::chmod(directory.spool().c_str(), 0755) == 0);
  const auto spool = open_spool(directory.spool(), clock);
  const auto warnings = spool->warnings();
  CHECK(std::any_of(warnings.begin(), warnings.end(), [](const std::string& warning) {
    return warning.find("mode 0755") != std::string::npos;
  }));
}

TEST_CASE("messages: what they ask of TLS, also as an earlier version stored it") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  struct Row {
    MessageTls stored;
    const char* flags;  // set behind the spool's back; null: as stored
    MessageTls read;
  };
  for (const auto& row : {Row{MessageTls::normal, nullptr, MessageTls::normal},
                          Row{MessageTls::required, nullptr, MessageTls::required},
                          Row{MessageTls::optional, nullptr, MessageTls::optional},
                          Row{MessageTls::normal, "3", MessageTls::normal},
                          Row{MessageTls::normal, "4", MessageTls::required},
                          Row{MessageTls::normal, "12", MessageTls::required}}) {
    MessageId id{0};
    {
      const auto spool = open_spool(directory.spool(), clock);
      auto envelope = envelope_to({"example.com"});
      envelope.tls = row.stored;
      id = store(*spool, thread, envelope, 10);
    }
    if (row.flags != nullptr) {
      run_sql(directory.database(), "UPDATE messages SET flags = " + std::string(row.flags) +
                                        " WHERE id = " + std::to_string(id.value()));
    }
    const auto envelope = *open_reader(directory.spool())->envelope(id, {});
    REQUIRE(envelope);
    CHECK(envelope->tls == row.read);
    CHECK(envelope->eight_bit == (row.flags != nullptr && *row.flags == '3'));
  }
}

TEST_CASE("open: what is not this version's spool is left alone, with a sentence saying why") {
  const ManualClock clock;
  struct Row {
    const char* sql;
    const char* said;
  };
  for (const auto& row : {Row{"PRAGMA user_version = 99", "newer stsrelay"},
                          Row{"PRAGMA application_id = 7", "not one of stsrelay"}}) {
    const TemporaryDirectory directory;
    { const auto spool = open_spool(directory.spool(), clock); }
    run_sql(directory.database(), row.sql);
    const auto opened = Spool::open(options_for(directory.spool()), clock);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().find(row.said) != std::string::npos);
    CHECK(opened.error().find(directory.database()) != std::string::npos);
  }
  const auto nowhere = Spool::open(options_for("/nonexistent/spool"), clock);
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().find("/nonexistent/spool") != std::string::npos);
}

TEST_CASE("room: what the disk cannot hold beside the reserve is refused beforehand") {
  const TemporaryDirectory directory;
  ManualClock clock;
  const auto spool = open_spool(directory.spool(), clock);
  CHECK(spool->has_room_for(1));
  CHECK_FALSE(spool->has_room_for(1ULL << 60));
}

TEST_CASE("reports: a spool of the version before takes them, and keeps its mail") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  std::optional<MessageId> id;
  {
    const auto spool = open_spool(directory.spool(), clock);
    LoopThread thread;
    id = store(*spool, thread, envelope_to({"a.example"}), 100);
    spool->count({session("a.example")});
  }
  forget_reports(directory.database());
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  CHECK(reader->reports({})->empty());
  // What that version counted is reported.
  CHECK(reader->unplanned_reports({session_day(), ""}, session_day() + std::chrono::days(1), 10)
            ->size() == 1);
  CHECK(reader->unreported_tally(session_day(), "a.example")->counts().size() == 1);
  CHECK(read_content(*reader, *id) == content_of(*id, 100));
}

}  // namespace relay::spool::testing
