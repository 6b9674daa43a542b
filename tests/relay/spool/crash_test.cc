// kill -9 and power cuts: whatever was acknowledged before is there after, whole and once.
#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/relay/spool/fixture.h"
#include "tests/relay/spool/test_vfs.h"

namespace relay::spool::testing {

namespace {

/// Runs work in a child process and kills it after so many acknowledgements. work gets a function
/// that acknowledges an id, callable from any one thread. Answer: every id acknowledged.
std::vector<MessageId> killed_after(
    std::size_t acknowledgements,
    const std::function<void(const std::function<void(MessageId)>&)>& work) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    work([&](MessageId id) {
      const auto value = id.value();
      if (::write(ends[1], &value, sizeof value) != sizeof value) {
        ::_exit(1);
      }
    });
    ::_exit(0);
  }
  ::close(ends[1]);
  std::vector<MessageId> ids;
  std::int64_t value = 0;
  while (::read(ends[0], &value, sizeof value) == sizeof value) {
    ids.emplace_back(value);
    if (ids.size() == acknowledgements) {
      ::kill(child, SIGKILL);
    }
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  return ids;
}

constexpr int kAtOnce = 8;

void store_forever(const std::string& directory, const std::function<void(MessageId)>& stored) {
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory, clock);
  std::function<void()> next = [&] {
    store_on_loop(*spool, thread.loop(), envelope_to({"example.com"}), 0,
                  [&](MessageId id, const Stored<void>& result) {
                    if (result) {
                      stored(id);
                    }
                    next();
                  });
  };
  for (int n = 0; n < kAtOnce; ++n) {
    thread.loop().post(next);
  }
  ::pause();
}

void settle_all(const std::string& directory, const std::vector<MessageId>& ids,
                const std::function<void(MessageId)>& settled) {
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory, clock);
  std::size_t position = 0;
  std::function<void()> next = [&] {
    if (position < ids.size()) {
      const auto id = ids[position++];
      spool->settle(delivered(id), thread.loop(), [&, id](const Stored<void>& result) {
        if (result) {
          settled(id);
        }
        next();
      });
    }
  };
  for (int n = 0; n < kAtOnce; ++n) {
    thread.loop().post(next);
  }
  ::pause();
}

/// Hands reports over to the queue, one after the other; acknowledged is the mail's id.
void hand_over_forever(const std::string& directory,
                       const std::function<void(MessageId)>& handed_over) {
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory, clock);
  std::function<void()> next = [&] {
    Notice mail;
    mail.envelope = envelope_to({"a.example"});
    mail.envelope.id = spool->new_id();
    mail.content = "Subject: x\r\n\r\n";
    ReportDelivery delivery;
    delivery.key = {session_day(), mail.envelope.id.text()};
    delivery.uri = "mailto:t@a.example";
    delivery.stage = rpt::Stage::handed_over;
    delivery.message = mail.envelope.id;
    StoredReport report;
    report.key = delivery.key;
    report.state = ReportState::rendered;
    ReportWrite write;
    write.reports = {report};
    write.deliveries = {delivery};
    write.mails = {mail};
    spool->write_report(std::move(write), thread.loop(),
                        [&, id = mail.envelope.id](const Stored<void>& stored) {
                          if (stored) {
                            handed_over(id);
                          }
                          next();
                        });
  };
  for (int n = 0; n < kAtOnce; ++n) {
    thread.loop().post(next);
  }
  ::pause();
}

std::string integrity(const TemporaryDirectory& directory) {
  return run_sql(directory.database(), "PRAGMA integrity_check");
}

}  // namespace

TEST_CASE("kill -9 while storing: every acknowledged message is whole, and the next run goes on") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  std::set<MessageId> acknowledged;
  for (const std::size_t count : {1U, 2U, 3U, 5U, 8U, 13U, 21U, 34U, 55U, 89U, 200U, 1U}) {
    CAPTURE(count);
    const auto ids =
        killed_after(count, [&](const auto& stored) { store_forever(directory.spool(), stored); });
    CHECK(ids.size() >= count);
    for (const auto id : ids) {
      CHECK(acknowledged.insert(id).second);
    }
    const auto spool = open_spool(directory.spool(), clock);
    const auto reader = open_reader(directory.spool());
    for (const auto id : acknowledged) {
      CHECK(is_whole(*reader, id));
    }
    // What was stored and not acknowledged is whole too, or not there.
    const auto listed = reader->list(std::nullopt, 100'000);
    REQUIRE(listed);
    CHECK(std::all_of(listed->begin(), listed->end(),
                      [&](const Envelope& envelope) { return is_whole(*reader, envelope.id); }));
    CHECK(integrity(directory) == "ok");
    CHECK(run_sql(directory.database(), "SELECT count(*) FROM loose_slices") == "0");
    CHECK(run_sql(directory.database(),
                  "SELECT count(*) FROM slices WHERE key >> 16 NOT IN (SELECT id FROM messages)") ==
          "0");
  }
}

TEST_CASE(
    "kill -9 while reports are handed over: a mail, its report and its note, or none of them") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  for (const std::size_t count : {1U, 2U, 5U, 13U, 50U}) {
    CAPTURE(count);
    const auto ids = killed_after(
        count, [&](const auto& handed_over) { hand_over_forever(directory.spool(), handed_over); });
    const auto spool = open_spool(directory.spool(), clock);
    const auto reader = open_reader(directory.spool());
    for (const auto id : ids) {
      CHECK(reader->report_deliveries({session_day(), id.text()})->size() == 1);
      CHECK(read_content(*reader, id) == "Subject: x\r\n\r\n");
    }
    CHECK(
        run_sql(directory.database(),
                "SELECT ((SELECT count(*) FROM report_deliveries) - (SELECT count(*) FROM reports))"
                " || ' ' || (SELECT count(*) FROM report_deliveries WHERE message NOT IN "
                "(SELECT id FROM messages)) || ' ' || (SELECT count(*) FROM messages WHERE id "
                "NOT IN (SELECT message FROM report_deliveries))") == "0 0 0");
    CHECK(integrity(directory) == "ok");
  }
}

TEST_CASE("kill -9 while settling: the message is gone if and only if its session is counted") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  std::vector<MessageId> left;
  {
    LoopThread thread;
    const auto spool = open_spool(directory.spool(), clock);
    left = store_many(*spool, thread, 600);
  }
  const std::size_t all = left.size();
  for (const std::size_t count : {1U, 2U, 5U, 10U, 33U, 80U}) {
    CAPTURE(count);
    // Some more than it is killed after: the kill must meet it at work.
    const std::vector<MessageId> todo(left.begin(), left.begin() + static_cast<int>(count) + 40);
    const auto ids = killed_after(
        count, [&](const auto& settled) { settle_all(directory.spool(), todo, settled); });
    const auto spool = open_spool(directory.spool(), clock);
    const auto reader = open_reader(directory.spool());
    for (const auto id : ids) {
      CHECK_FALSE(*reader->envelope(id, {}));
    }
    left.clear();
    const auto listed = reader->list(std::nullopt, 100'000);
    REQUIRE(listed);
    for (const auto& envelope : *listed) {
      CHECK(is_whole(*reader, envelope.id));
      left.push_back(envelope.id);
    }
    CHECK(sessions_counted(*reader) == all - left.size());
    CHECK(integrity(directory) == "ok");
  }
}

namespace {

/// What was promised by the time the disk had seen so many operations.
struct Promise {
  std::size_t position;
  MessageId id;
  enum class Kind { stored, settle_asked, settled } kind;
};

/// Stores and settles in turns, and notes what was promised when.
std::vector<Promise> busy_day(TestVfs& vfs, const std::string& directory) {
  const ManualClock clock;
  LoopThread thread;
  auto options = options_for(directory, vfs.name());
  options.checkpoint_pages = 60;
  const auto spool = open_spool(options, clock);
  std::vector<Promise> promises;
  std::vector<MessageId> queued;
  for (int round = 0; round < 40; ++round) {
    for (const auto id : store_many(*spool, thread, 1 + static_cast<std::size_t>(round) % 4)) {
      promises.push_back({vfs.position(), id, Promise::Kind::stored});
      queued.push_back(id);
    }
    if (round % 3 != 0) {
      const auto id = queued[queued.size() / 2];
      queued.erase(std::find(queued.begin(), queued.end(), id));
      promises.push_back({vfs.position(), id, Promise::Kind::settle_asked});
      REQUIRE(settle(*spool, thread, delivered(id)));
      promises.push_back({vfs.position(), id, Promise::Kind::settled});
    }
  }
  return promises;
}

void check_after_cut(const std::map<std::string, std::string>& files,
                     const std::vector<Promise>& promises, std::size_t cut) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.spool());
  for (const auto& [name, content] : files) {
    std::ofstream(directory.spool() + "/" + name, std::ios::binary) << content;
  }
  const ManualClock clock;
  // Through the recording VFS's sibling: syncs of these throw-away copies need no disk.
  TestVfs quick("quick");
  const auto spool = open_spool(options_for(directory.spool(), quick.name()), clock);
  const auto reader = open_reader(directory.spool());
  std::map<MessageId, Promise::Kind> states;
  std::set<MessageId> may_be_settled;
  for (const auto& promise : promises) {
    if (promise.kind == Promise::Kind::settle_asked) {
      may_be_settled.insert(promise.id);
    } else if (promise.position <= cut) {
      states[promise.id] = promise.kind;
    }
  }
  std::size_t gone = 0;
  for (const auto& entry : states) {
    const auto id = entry.first;
    const auto state = entry.second;
    CAPTURE(id.text());
    const bool there = reader->envelope(id, {})->has_value();
    gone += there ? 0 : 1;
    if (there) {
      CHECK(state == Promise::Kind::stored);
      CHECK(is_whole(*reader, id));
    } else {
      CHECK(may_be_settled.count(id) == 1);
    }
  }
  CHECK(sessions_counted(*reader) == gone);
  CHECK(integrity(directory) == "ok");
}

}  // namespace

TEST_CASE("power cut at any moment: what was acknowledged is on the disk, and nothing is torn") {
  const TemporaryDirectory directory;
  TestVfs vfs("recording");
  const auto promises = busy_day(vfs, directory.spool());
  const auto operations = vfs.operations();
  REQUIRE(operations.size() > 500);
  constexpr std::size_t kCuts = 200;
  std::mt19937 random(20260203);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cuts in every run
  std::set<std::size_t> cuts;
  while (cuts.size() < kCuts) {
    cuts.insert(promises.front().position +
                random() % (operations.size() - promises.front().position));
  }
  Disk disk;
  for (std::size_t position = 0; position < operations.size(); ++position) {
    disk.apply(operations[position]);
    if (cuts.count(position + 1) == 1) {
      CAPTURE(position);
      check_after_cut(disk.after_cut(random), promises, position + 1);
    }
  }
}

}  // namespace relay::spool::testing
