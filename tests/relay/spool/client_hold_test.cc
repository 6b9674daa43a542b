// Clients whose mail is held: on disk once told so, and there after a restart.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/spool/spool.h"
#include "tests/relay/spool/fixture.h"

namespace relay::spool::testing {

namespace {

Stored<void> save_hold(Spool& spool, LoopThread& thread, const ClientHold& hold) {
  return thread.ask<Stored<void>>([&](std::function<void(Stored<void>)> done) {
    spool.save_client_hold(hold, thread.loop(), std::move(done));
  });
}

Stored<std::size_t> remove_hold(Spool& spool, LoopThread& thread, const std::string& name) {
  return thread.ask<Stored<std::size_t>>([&](std::function<void(Stored<std::size_t>)> done) {
    spool.remove_client_hold(name, thread.loop(), std::move(done));
  });
}

ClientHold full_hold() {
  return {"app1", "sent more than 100 messages per hour",
          net::WallTime(std::chrono::milliseconds(1'790'000'000'001)), "uid:1000"};
}

}  // namespace

TEST_CASE("client holds: every field is there after a restart, replaced and removed ones are not") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  const ClientHold bare{"2001:db8::/64", "is held by the operator", {}, ""};
  {
    const auto spool = open_spool(directory.spool(), clock);
    LoopThread thread;
    ClientHold older = full_hold();
    older.reason = "was held before";
    REQUIRE(save_hold(*spool, thread, older));
    REQUIRE(save_hold(*spool, thread, full_hold()));
    REQUIRE(save_hold(*spool, thread, bare));
    REQUIRE(save_hold(*spool, thread, {"gone", "", {}, ""}));
    CHECK(remove_hold(*spool, thread, "gone") == std::size_t{1});
    CHECK(remove_hold(*spool, thread, "gone") == std::size_t{0});
  }
  const auto spool = open_spool(directory.spool(), clock);
  const auto holds = open_reader(directory.spool())->client_holds();
  REQUIRE(holds);
  CHECK(*holds == std::vector{bare, full_hold()});
}

TEST_CASE("client holds: a spool of the version before takes them, and keeps its mail") {
  const TemporaryDirectory directory;
  const ManualClock clock;
  LoopThread thread;
  MessageId id{0};
  {
    const auto spool = open_spool(directory.spool(), clock);
    id = store(*spool, thread, envelope_to({"a.example"}), 100);
  }
  forget_client_holds(directory.database());
  CHECK_FALSE(SpoolReader::open(directory.spool()));
  const auto spool = open_spool(directory.spool(), clock);
  REQUIRE(save_hold(*spool, thread, full_hold()));
  const auto reader = open_reader(directory.spool());
  CHECK(*reader->client_holds() == std::vector{full_hold()});
  CHECK(read_content(*reader, id) == content_of(id, 100));
}

TEST_CASE("client holds: messages are held because of their own client") {
  const std::string held = held_for(full_hold());
  CHECK(held == "client app1: sent more than 100 messages per hour");
  CHECK(is_held_for_client(held, "app1"));
  CHECK_FALSE(is_held_for_client(held, "app"));
  CHECK_FALSE(is_held_for_client(held, "app11"));
  CHECK_FALSE(is_held_for_client("ticket 7: client app1: sent spam", "app1"));
  CHECK_FALSE(is_held_for_client("client app1 two: sent spam", "app1"));
  CHECK_FALSE(is_held_for_client("", "app1"));
}

}  // namespace relay::spool::testing
