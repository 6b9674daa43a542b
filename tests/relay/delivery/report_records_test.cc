// Who wants reports is asked with a day's first session of a domain, and remembered.
#include "relay/delivery/report_records.h"

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/dns_packet.h"
#include "tests/relay/net/dns_responder.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/relay/spool/fixture.h"

namespace {

using namespace relay::delivery;
namespace net = relay::net;
namespace spool = relay::spool;
using spool::testing::session;
using spool::testing::session_day;

struct World {
  World() {
    options.resolvers = {server.address()};
    options.try_timeout = std::chrono::seconds(5);
    options.rounds = 1;
    client = std::make_unique<net::DnsClient>(loop, clock, options);
    records = std::make_unique<ReportRecords>(loop, *client, *store);
  }
  /// Counts one session and waits until all that follows from it is on disk.
  void count(const rpt::SessionResult& result) {
    records->counted({result});
    support::settle(loop, 200);
    bool stored = false;
    store->write_report({}, loop, [&](const spool::Stored<void>& done) {
      stored = done.has_value();
      loop.stop();
    });
    support::run(loop);
    REQUIRE(stored);
  }
  std::vector<std::string> seen(const std::string& domain, int days = 0) {
    return *reader->report_record({session_day() + std::chrono::days(days), domain});
  }
  std::vector<std::string> answer(const support::DnsAsked& asked) {
    support::DnsPacket packet(asked.question);
    const std::string& text = texts[asked.question.name];
    if (text == "SERVFAIL") {
      packet.rcode(2);
    } else if (text.empty()) {
      packet.rcode(3);
    } else {
      packet.answer(asked.question.name, asked.question.type, 0, support::rdata::txt({text}));
    }
    return {packet.bytes()};
  }

  spool::testing::TemporaryDirectory directory;
  spool::testing::ManualClock clock;
  net::EventLoop loop;
  std::map<std::string, std::string> texts;
  support::DnsResponder server{loop,
                               [this](const support::DnsAsked& asked) { return answer(asked); }};
  std::unique_ptr<spool::Spool> store = spool::testing::open_spool(directory.spool(), clock);
  std::unique_ptr<spool::SpoolReader> reader = spool::testing::open_reader(directory.spool());
  net::DnsClientOptions options;
  std::unique_ptr<net::DnsClient> client;
  std::unique_ptr<ReportRecords> records;
};

TEST_CASE("report records: one question per domain and day, the answer is stored for that day") {
  World world;
  world.texts["_smtp._tls.a.example"] =
      "v=TLSRPTv1; rua=mailto:t@A.example,https://u:p@r.example/v1";
  world.count(session("a.example"));
  const std::vector<std::string> expected{"mailto:t@a.example", "https://u:p@r.example/v1"};
  CHECK(world.seen("a.example") == expected);
  world.count(session("a.example"));
  CHECK(world.server.asked().size() == 1);
  auto next_day = session("a.example");
  next_day.ended_at += std::chrono::hours(24);
  CHECK(world.seen("a.example", 1).empty());
  world.count(next_day);
  CHECK(world.seen("a.example", 1) == expected);
  CHECK(world.server.asked().size() == 2);
}

TEST_CASE(
    "report records: a domain without one is not asked again that day, after a failure it is") {
  World world;
  world.count(session("none.example"));
  world.count(session("none.example"));
  CHECK(world.server.asked().size() == 1);
  CHECK(world.seen("none.example").empty());
  world.texts["_smtp._tls.late.example"] = "SERVFAIL";
  world.count(session("late.example"));
  CHECK(world.seen("late.example").empty());
  world.texts["_smtp._tls.late.example"] = "v=TLSRPTv1; rua=mailto:t@late.example";
  world.count(session("late.example"));
  CHECK(world.seen("late.example") == std::vector<std::string>{"mailto:t@late.example"});
}

TEST_CASE("report records: what is no usable record is none") {
  for (const char* text : {"v=TLSRPTv1; rua=ftp://x.example/", "v=TLSRPTv2; rua=mailto:a@b.example",
                           "something else"}) {
    CAPTURE(text);
    World world;
    world.texts["_smtp._tls.a.example"] = text;
    world.count(session("a.example"));
    CHECK(world.server.asked().size() == 1);
    CHECK(world.seen("a.example").empty());
  }
}

}  // namespace
