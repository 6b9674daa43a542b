// A full disk, a failing disk, damaged rows.
#include <filesystem>

#include <doctest/doctest.h>

#include "tests/relay/spool/fixture.h"
#include "tests/relay/spool/test_vfs.h"

namespace relay::spool::testing {

namespace {

Stored<void> try_store(Spool& spool, LoopThread& thread, std::size_t size) {
  return thread.ask<Stored<void>>([&](auto answer) {
    store_on_loop(spool, thread.loop(), envelope_to({"example.com"}), size,
                  [answer](MessageId, const Stored<void>& result) { answer(result); });
  });
}

/// Stores until the disk refuses; answer: what was stored.
std::vector<MessageId> fill(Spool& spool, LoopThread& thread, std::size_t size) {
  std::vector<MessageId> ids;
  for (int n = 0; n < 10'000; ++n) {
    const auto id = store(spool, thread, envelope_to({"example.com"}), size);
    if (id == MessageId(0)) {
      return ids;
    }
    ids.push_back(id);
  }
  FAIL("the disk never filled");
  return ids;
}

}  // namespace

TEST_CASE("disk full: new messages are refused, settlements pass, and room makes it go on") {
  const TemporaryDirectory directory(TemporaryDirectory::Place::disk);
  ManualClock clock;
  LoopThread thread;
  TestVfs vfs("full_disk");
  auto options = options_for(directory.spool(), vfs.name());
  options.checkpoint_pages = 100;
  const auto spool = open_spool(options, clock);
  const auto reader = open_reader(directory.spool());
  const auto early = store_many(*spool, thread, 30);
  const auto reserve = directory.spool() + "/reserve";
  const auto reserved = std::filesystem::file_size(reserve);
  vfs.set_room(0);
  const auto late = fill(*spool, thread, 20'000);
  for (const std::size_t size : {20'000U, 200'000U}) {
    const auto refused = try_store(*spool, thread, size);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == StoreFault::Kind::disk_full);
  }
  CHECK_FALSE(spool->failed());
  CHECK_FALSE(spool->has_room_for(1));
  // The reserve was given up for what must still be recorded.
  CHECK_FALSE(std::filesystem::exists(reserve));
  vfs.set_room(static_cast<std::int64_t>(reserved));
  REQUIRE(settle(*spool, thread, delivered(early[0])));
  REQUIRE(settle(*spool, thread, delivered(early[1])));
  for (std::size_t n = 2; n < early.size(); ++n) {
    CHECK(is_whole(*reader, early[n]));
  }
  for (const auto id : late) {
    CHECK(read_content(*reader, id) == content_of(id, 20'000));
  }
  CHECK(sessions_counted(*reader) == 2);

  vfs.set_room(1 << 30);
  clock.advance(std::chrono::seconds(2));
  CHECK(spool->has_room_for(1));
  CHECK(try_store(*spool, thread, 200'000));
  CHECK(run_sql(directory.database(), "PRAGMA integrity_check") == "ok");
}

TEST_CASE("disk full: of a group, what frees room is done and what needs room is refused") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  TestVfs vfs("full_disk_group");
  auto options = options_for(directory.spool(), vfs.name());
  options.checkpoint_pages = 100;
  const auto spool = open_spool(options, clock);
  const auto early = store_many(*spool, thread, 20);
  vfs.set_room(0);
  static_cast<void>(fill(*spool, thread, 20'000));
  vfs.set_room(4'000'000);
  int settled = 0;
  int refused = 0;
  thread.ask<int>([&](auto answer) {
    auto left = std::make_shared<int>(20);
    const auto answered = [left, answer] {
      if (--*left == 0) {
        answer(0);
      }
    };
    for (std::size_t n = 0; n < 10; ++n) {
      store_on_loop(*spool, thread.loop(), envelope_to({"example.com"}), 2'000'000,
                    [&refused, answered](MessageId, const Stored<void>& result) {
                      refused += result ? 0 : 1;
                      answered();
                    });
      spool->settle(delivered(early[n]), thread.loop(),
                    [&settled, answered](const Stored<void>& result) {
                      settled += result ? 1 : 0;
                      answered();
                    });
    }
  });
  CHECK(settled == 10);
  CHECK(refused == 10);
  CHECK_FALSE(spool->failed());
}

TEST_CASE(
    "a failing fsync: the store takes nothing more until a restart, which has all of before") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  TestVfs vfs("failing_disk");
  std::vector<MessageId> before;
  {
    const auto spool = open_spool(options_for(directory.spool(), vfs.name()), clock);
    before = store_many(*spool, thread, 10);
    vfs.set_sync_fails(true);
    const auto refused = try_store(*spool, thread, 100);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == StoreFault::Kind::io_error);
    CHECK(spool->failed());
    CHECK_FALSE(spool->has_room_for(1));
    // The disk seems well again; what it holds is still unknown.
    vfs.set_sync_fails(false);
    CHECK_FALSE(try_store(*spool, thread, 100));
    CHECK_FALSE(try_store(*spool, thread, 500'000));
    CHECK_FALSE(settle(*spool, thread, delivered(before[0])));
  }
  const auto spool = open_spool(options_for(directory.spool(), vfs.name()), clock);
  const auto reader = open_reader(directory.spool());
  for (const auto id : before) {
    CHECK(is_whole(*reader, id));
  }
  CHECK(try_store(*spool, thread, 100));
}

TEST_CASE("a damaged or missing slice is an error that names the message, and harms no other") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  const auto spool = open_spool(directory.spool(), clock);
  const auto reader = open_reader(directory.spool());
  const auto sound = store(*spool, thread, envelope_to({"example.com"}), 150'000);
  const auto damaged = store(*spool, thread, envelope_to({"example.com"}), 150'000);
  const auto holed = store(*spool, thread, envelope_to({"example.com"}), 150'000);
  const auto cut = store(*spool, thread, envelope_to({"example.com"}), 150'000);
  const auto key = [](MessageId id, int n) { return std::to_string((id.value() << 16) + n); };
  run_sql(directory.database(),
          "UPDATE slices SET content = zeroblob(length(content)) WHERE key = " + key(damaged, 1));
  run_sql(directory.database(), "DELETE FROM slices WHERE key = " + key(holed, 1));
  run_sql(directory.database(), "DELETE FROM slices WHERE key = " + key(cut, 2));
  struct Row {
    MessageId id;
    std::uint32_t slice;
  };
  for (const auto& row : {Row{damaged, 1}, Row{holed, 1}, Row{cut, 2}}) {
    const auto slice = reader->slice(row.id, row.slice);
    REQUIRE_FALSE(slice);
    CHECK(slice.error().kind == StoreFault::Kind::io_error);
    CHECK(slice.error().reason.find(row.id.text()) != std::string::npos);
    CHECK(reader->slice(row.id, 0));
  }
  CHECK(read_content(*reader, sound) == content_of(sound, 150'000));
}

}  // namespace relay::spool::testing
