// A reporter through restarts, kills and steps of the clock: each session in one report, each
// report once.
#include <algorithm>
#include <mutex>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "relay/reporting/reporter.h"
#include "tests/relay/reporting/reporting_world.h"

namespace reporting_world {
namespace {

using Json = nlohmann::json;
using spool::ReportState;

TEST_CASE("reporter: nothing is sent twice, whether it looks again or is started again") {
  World world;
  world.publish("a.example", "mailto:t@r.example," + world.post_uri());
  world.count("a.example");
  const auto both_on_their_way = [&] {
    const auto found = world.deliveries();
    return found.size() == 2 && found[0].stage == rpt::Stage::accepted &&
           found[1].stage == rpt::Stage::handed_over;
  };
  world.run_until(both_on_their_way);
  const auto before = world.deliveries();
  // A report of another domain shows that the whole round was made.
  for (const char* domain : {"b.example", "c.example"}) {
    world.publish(domain, "mailto:t@" + std::string(domain));
    world.count(domain);
    world.restart();
    world.run_until([&] { return world.deliveries(domain).size() == 1; });
  }
  CHECK(world.deliveries() == before);
  CHECK(world.host.requests() == 1);
  world.run_until([&] { return world.reader->list(std::nullopt, 10)->size() == 3; });
}

TEST_CASE("reporter: what is counted after a day's report was made is a further part, once") {
  World world;
  world.publish("a.example", world.post_uri());
  world.count("a.example");
  world.count("a.example");
  world.wait_for_stage(rpt::Stage::accepted);
  const Json first = Json::parse(world.posted_json());
  world.count_failure("a.example");
  const auto preview = *world.reporter->preview(world.key());
  REQUIRE(preview);
  CHECK(preview->report.policies.at(0).failed_sessions == 1);
  CHECK(preview->report.policies.at(0).successful_sessions == 0);

  const spool::ReportKey second{session_day(), "a.example", 2};
  const auto accepted = [&] {
    const auto found = *world.reader->report_deliveries(second);
    return found.size() == 1 && found[0].stage == rpt::Stage::accepted;
  };
  for (int round = 0; round < 3; ++round) {  // looked at again, it makes no third one
    world.clock.advance(1h);
    world.restart();
    world.run_until(accepted);
  }
  CHECK(world.host.requests() == 2);
  const Json late = Json::parse(world.posted_json());
  CHECK(late["report-id"] != first["report-id"]);
  CHECK(late["date-range"] == first["date-range"]);
  CHECK(first["policies"][0]["summary"]["total-successful-session-count"] == 2);
  CHECK(first["policies"][0]["summary"]["total-failure-session-count"] == 0);
  CHECK(late["policies"][0]["summary"]["total-successful-session-count"] == 0);
  CHECK(late["policies"][0]["summary"]["total-failure-session-count"] == 1);
  CHECK(late["policies"][0]["failure-details"][0]["failed-session-count"] == 1);
  const auto report = *world.reader->report(second);
  CHECK(report->file_name.find("!002.json.gz") != std::string::npos);
  CHECK(report->summary.starts_with("This is part 2 of the day's report"));
  CHECK(world.report()->summary.find("part") == std::string::npos);
  CHECK((*world.reporter->preview(world.key()))->withheld ==
        "it was made, see `stsrelay report show`");
}

TEST_CASE(
    "D15: reporter: a clock set back over midnight loses nothing and makes no second report") {
  World world;
  world.publish("a.example", world.post_uri());
  world.count("a.example");
  world.clock.set_wall(net::WallTime(kNextDay) + 11min);
  world.wait_for(ReportState::planned);
  const auto due = world.report()->due;
  world.clock.set_wall(net::WallTime(kNextDay) - 2min);
  world.reporter->wake();
  world.count("a.example");
  support::settle(world.loop, 50);
  CHECK(world.report()->state == ReportState::planned);
  CHECK(world.report()->due == due);
  world.clock.set_wall(due);
  world.reporter->wake();
  world.wait_for_stage(rpt::Stage::accepted);
  CHECK(Json::parse(
            world.posted_json())["policies"][0]["summary"]["total-successful-session-count"] == 2);
  world.clock.set_wall(net::WallTime(kNextDay) - 2min);
  world.restart();
  world.clock.set_wall(due + 1min);
  world.restart();
  support::settle(world.loop, 50);
  CHECK(world.host.requests() == 1);
  CHECK(world.reader->reports({})->size() == 1);
}

TEST_CASE("reporter: a clock that is years ahead for a while makes nothing old") {
  World world;
  world.settings.reports.contact.clear();
  world.count("a.example");
  world.begin();
  support::settle(world.loop, 50);
  world.clock.set_wall(kDue + 24h * 3650);
  world.reporter->wake();
  support::settle(world.loop, 50);
  world.clock.set_wall(kDue);
  world.clock.advance(1h);
  world.reporter->wake();
  support::settle(world.loop, 50);
  world.write({});
  CHECK(world.reader->tally(session_day())->counts().size() == 1);
}

TEST_CASE("D14: reporter: down over midnight, the day is reported whole and once after the start") {
  World world;
  world.publish("a.example", world.post_uri());
  world.clock.set_wall(net::WallTime(kNextDay) - 10min);
  world.begin();
  world.count("a.example");
  world.kill();
  world.count("a.example");
  world.close();
  world.clock.set_wall(net::WallTime(kNextDay) + 20min);
  world.open();
  world.begin();
  auto after = session("a.example");
  after.ended_at = std::chrono::floor<std::chrono::seconds>(world.clock.wall());
  world.count(after);
  world.wait_for(ReportState::planned);
  world.clock.set_wall(world.report()->due);
  world.reporter->wake();
  world.wait_for_stage(rpt::Stage::accepted);
  const Json json = Json::parse(world.posted_json());
  CHECK(json["policies"][0]["summary"]["total-successful-session-count"] == 2);
  CHECK(json["date-range"]["start-datetime"] == "2026-02-03T00:00:00Z");
  CHECK_FALSE(*world.reader->report({kNextDay, "a.example"}));
  CHECK(world.reader->unreported_tally(kNextDay, "a.example")->counts().size() == 1);
}

TEST_CASE("reporter: killed in any state it goes on, to one accepted report and one mail") {
  struct Row {
    const char* name;
    bool (*reached)(World& world);
  };
  const std::vector<Row> rows{
      {"counted", [](World& /*world*/) { return true; }},
      {"planned", [](World& world) { return world.report().has_value(); }},
      {"rendered",
       [](World& world) {
         return world.report() && world.report()->state == ReportState::rendered;
       }},
      {"posted", [](World& world) { return world.host.requests() > 0; }},
      {"one delivery over",
       [](World& world) {
         return std::ranges::any_of(world.deliveries(), [](const auto& each) {
           return each.stage == rpt::Stage::accepted || each.message;
         });
       }},
      {"both over",
       [](World& world) {
         const auto found = world.deliveries();
         return found.size() == 2 && found[0].stage == rpt::Stage::accepted && found[1].message;
       }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    std::mutex mutex;
    std::set<std::string> bodies;
    World* place = nullptr;
    World world([&](const support::TlsPeer& peer) {
      const std::string request = place->host.last_request();
      {
        const std::scoped_lock lock(mutex);
        bodies.insert(request.substr(request.find("\r\n\r\n")));
      }
      peer.send(status("201 Created"));
    });
    place = &world;
    world.publish("a.example", world.post_uri() + ",mailto:t@r.example");
    world.count("a.example");
    world.run_until([&] { return row.reached(world); });
    world.kill();
    world.run_until([&] { return rows.back().reached(world); });
    CHECK(world.reader->list(std::nullopt, 10)->size() == 1);
    CHECK(world.reader->reports({})->size() == 1);
    const std::scoped_lock lock(mutex);
    CHECK(bodies.size() == 1);
    CHECK(world.host.requests() <= 2);
  }
}

}  // namespace
}  // namespace reporting_world
