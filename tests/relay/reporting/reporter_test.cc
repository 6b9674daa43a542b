// A day's reports: when they are made, of what, for whom, and that each one is made once.
#include "relay/reporting/reporter.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/relay/reporting/reporting_world.h"

namespace reporting_world {
namespace {

using Json = nlohmann::json;
using spool::ReportState;

TEST_CASE("reporter: a closed day goes to every destination: one POST, one mail in our queue") {
  World world;
  world.publish("a.example", "mailto:t@r.example," + world.post_uri());
  world.count("a.example");
  world.count_failure("a.example");
  world.run_until([&] {
    const auto found = world.deliveries();
    return found.size() == 2 && found[0].stage == rpt::Stage::accepted &&
           found[1].stage == rpt::Stage::handed_over;
  });
  const auto report = *world.report();
  CHECK(report.state == ReportState::rendered);
  CHECK(report.rendered_at == kDue);

  const std::string request = world.host.last_request();
  CHECK(request.starts_with("POST /v1 HTTP/1.1\r\n"));
  CHECK(request.find("\r\nContent-Type: application/tlsrpt+gzip\r\n") != std::string::npos);
  CHECK(request.substr(request.find("\r\n\r\n") + 4) == report.content);
  const Json json = Json::parse(world.posted_json());
  CHECK(json["organization-name"] == "Sender");
  CHECK(json["contact-info"] == "tls@sender.example");
  CHECK(json["report-id"] == report.id);
  CHECK(json["date-range"]["start-datetime"] == "2026-02-03T00:00:00Z");
  REQUIRE(json["policies"].size() == 1);
  CHECK(json["policies"][0]["summary"]["total-successful-session-count"] == 1);
  CHECK(json["policies"][0]["summary"]["total-failure-session-count"] == 1);

  const auto mails = *world.reader->list(std::nullopt, 10);
  REQUIRE(mails.size() == 1);
  CHECK(mails[0].origin == spool::Origin::report);
  CHECK(mails[0].tls == spool::MessageTls::optional);
  CHECK(mails[0].sender == "tls@sender.example");
  CHECK(mails[0].expires_at == kDue + 24h);
  REQUIRE(mails[0].recipients.size() == 1);
  CHECK(mails[0].recipients[0].address == "t@r.example");
  CHECK(mails[0].recipients[0].domain == "r.example");
  CHECK(world.deliveries()[1].message == mails[0].id);
  const std::string mail = spool::testing::read_content(*world.reader, mails[0].id);
  CHECK(mail.size() == mails[0].size);
  CHECK(mail.find("TLS-Report-Domain: a.example\r\n") != std::string::npos);
  CHECK(mail.find("TLS-Report-Submitter: sender.example\r\n") != std::string::npos);
  CHECK(mail.find(report.file_name) != std::string::npos);
}

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

TEST_CASE(
    "reporter: a day is closed after midnight and the grace, its domains spread over a window") {
  World world;
  world.publish("a.example", "mailto:t@r.example");
  world.publish("b.example", "mailto:t@r.example");
  world.count("a.example");
  world.clock.set_wall(net::WallTime(kNextDay) + 10min - 1ms);
  world.begin();
  support::settle(world.loop, 50);
  CHECK_FALSE(world.report());
  world.clock.advance(1ms);
  world.reporter->wake();
  world.wait_for(ReportState::planned);
  const auto due = world.report()->due;
  CHECK(due >= net::WallTime(kNextDay) + 10min);
  CHECK(due <= net::WallTime(kNextDay) + 10min + 4h);
  world.clock.set_wall(due - 1ms);
  world.reporter->wake();
  support::settle(world.loop, 50);
  CHECK(world.report()->state == ReportState::planned);
  world.clock.advance(1ms);
  world.reporter->wake();
  world.wait_for(ReportState::rendered);
  // Counted late, on a closed day: planned when it is looked for the next time.
  world.count("b.example");
  world.clock.advance(24h);
  world.reporter->wake();
  world.wait_for(ReportState::rendered, "b.example");
}

TEST_CASE("reporter: the record asked again decides who gets the report") {
  struct Row {
    const char* name;
    const char* now;   ///< what DNS says; empty: no record
    const char* seen;  ///< what it said on the day; empty: nothing
    ReportState state;
    std::string to;  ///< or why it was withdrawn
  };
  const std::vector<Row> rows{
      {"as before", "mailto:t@r.example", "mailto:t@r.example", ReportState::rendered,
       "mailto:t@r.example"},
      {"changed", "mailto:new@r.example", "mailto:t@r.example", ReportState::rendered,
       "mailto:new@r.example"},
      {"vanished", "", "mailto:t@r.example", ReportState::withdrawn, "record-absent"},
      {"never there", "", "", ReportState::withdrawn, "record-absent"},
      {"dns fails", "SERVFAIL", "mailto:t@r.example", ReportState::rendered, "mailto:t@r.example"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    World world;
    if (std::string(row.now) == "SERVFAIL") {
      world.records["_smtp._tls.a.example"] = "SERVFAIL";
    } else if (*row.now != '\0') {
      world.publish("a.example", row.now);
    }
    if (*row.seen != '\0') {
      spool::ReportWrite write;
      write.records = {{world.key(), {row.seen}}};
      world.write(write);
    }
    world.count("a.example");
    world.wait_for(row.state);
    const auto deliveries = world.deliveries();
    if (row.state == ReportState::withdrawn) {
      CHECK(deliveries.empty());
      CHECK(world.report()->note == row.to);
      CHECK(world.report()->content.empty());
    } else {
      REQUIRE(deliveries.size() == 1);
      CHECK(deliveries[0].uri == row.to);
    }
  }
}

TEST_CASE("reporter: without an answer and without a record seen, it asks again later") {
  World world;
  world.records["_smtp._tls.a.example"] = "SERVFAIL";
  world.count("a.example");
  world.run_until([&] { return world.report() && world.report()->due > kDue; });
  CHECK(world.report()->state == ReportState::planned);
  world.publish("a.example", "mailto:t@r.example");
  world.clock.set_wall(world.report()->due);
  world.reporter->wake();
  world.wait_for(ReportState::rendered);
}

TEST_CASE("reporter: the operator decides for whom and about what") {
  struct Row {
    const char* name;
    void (*set)(conf::Reports& reports);
    ReportState state;
    std::string to;  ///< or why it was withdrawn
  };
  const std::vector<Row> rows{
      {"opt-out", [](conf::Reports& reports) { reports.domains["a.example"].send = false; },
       ReportState::withdrawn, "off in the configuration"},
      {"override",
       [](conf::Reports& reports) { reports.domains["a.example"].rua = {"mailto:x@o.example"}; },
       ReportState::rendered, "mailto:x@o.example"},
      {"no heartbeats", [](conf::Reports& reports) { reports.success_only = false; },
       ReportState::withdrawn, "no failures"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    World world;
    row.set(world.settings.reports);
    world.publish("a.example", "mailto:t@r.example");
    world.count("a.example");
    world.wait_for(row.state);
    const auto deliveries = world.deliveries();
    CHECK(deliveries.size() == (row.state == ReportState::rendered ? 1 : 0));
    CHECK((deliveries.empty() ? world.report()->note : deliveries[0].uri) == row.to);
  }
}

TEST_CASE("reporter: failures are reported also where heartbeats are not") {
  World world;
  world.settings.reports.success_only = false;
  world.settings.reports.redact = {true, true, true};
  world.publish("a.example", world.post_uri());
  world.count_failure("a.example");
  world.wait_for_stage(rpt::Stage::accepted);
  const Json detail = Json::parse(world.posted_json())["policies"][0]["failure-details"][0];
  CHECK(detail["result-type"] == "certificate-expired");
  CHECK(detail["receiving-mx-hostname"] == "mx.a.example");
  for (const char* hidden : {"sending-mta-ip", "receiving-mx-helo", "failure-reason-code"}) {
    CAPTURE(hidden);
    CHECK_FALSE(detail.contains(hidden));
  }
}

TEST_CASE("reporter: a dry run writes the report to a folder and sends nothing") {
  World world;
  const std::string folder = world.directory.spool() + "/reports";
  std::filesystem::create_directory(folder);
  world.settings.reports.dry_run_folder = folder;
  world.publish("a.example", world.post_uri());
  world.count("a.example");
  world.wait_for(ReportState::written);
  const auto report = *world.report();
  CHECK(report.note == folder + "/" + report.file_name);
  std::ifstream file(report.note, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  CHECK(content == report.content);
  CHECK(world.deliveries().empty());
  CHECK(world.host.requests() == 0);
}

TEST_CASE("reporter: a dry run into a folder that is not there says so") {
  World world;
  world.settings.reports.dry_run_folder = "/nowhere/at/all";
  world.publish("a.example", "mailto:t@r.example");
  world.count("a.example");
  world.wait_for(ReportState::written);
  CHECK(world.report()->note.find("cannot be written: No such file") != std::string::npos);
}

TEST_CASE("reporter: without a contact nothing is planned, and old days go all the same") {
  World world;
  world.settings.reports.contact.clear();
  world.count("a.example");
  auto newer = session("b.example");
  newer.ended_at += 24h * 15;
  world.count(newer);
  world.clock.set_wall(net::WallTime(session_day()) + 24h * 15);
  world.begin();
  support::settle(world.loop, 50);
  world.clock.advance(1h);
  world.reporter->wake();
  world.run_until([&] { return world.reader->tally(session_day())->counts().empty(); });
  CHECK(world.reader->tally(session_day() + std::chrono::days(15))->counts().size() == 1);
  CHECK(world.reader->reports({})->empty());
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

TEST_CASE("reporter: a clock set back over midnight loses nothing and makes no second report") {
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

TEST_CASE("reporter: down over midnight, the day is reported whole and once after the start") {
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

TEST_CASE("reporter: days that are too old are not reported any more") {
  World world;
  world.publish("a.example", "mailto:t@r.example");
  world.publish("b.example", "mailto:t@r.example");
  world.count("a.example");
  auto newer = session("b.example");
  newer.ended_at += 24h;
  world.count(newer);
  world.clock.set_wall(kDue + 24h * 3);
  world.run_until([&] {
    const auto newer_report = *world.reader->report({kNextDay, "b.example"});
    return newer_report && newer_report->state == ReportState::rendered;
  });
  CHECK_FALSE(world.report());
}

TEST_CASE("reporter: a preview is the report as it would be, and says why it would not be sent") {
  World world;
  world.count("a.example");
  world.begin();
  auto preview = *world.reporter->preview(world.key());
  REQUIRE(preview);
  CHECK(preview->withheld == "no destination is known: no record was seen on that day");
  CHECK(preview->report.policies.size() == 1);
  CHECK_FALSE(*world.reporter->preview(world.key("none.example")));

  auto settings = world.settings;
  settings.reports.domains["a.example"].rua = {"mailto:x@o.example"};
  settings.reports.success_only = false;
  world.reporter->reconfigure(std::make_shared<const ReportSettings>(settings));
  preview = *world.reporter->preview(world.key());
  REQUIRE(preview->destinations.size() == 1);
  CHECK(preview->destinations[0].uri == "mailto:x@o.example");
  CHECK(preview->withheld == "no failures");
  settings.reports.contact.clear();
  world.reporter->reconfigure(std::make_shared<const ReportSettings>(settings));
  CHECK((*world.reporter->preview(world.key()))->withheld == "reports.contact is not set");
}

}  // namespace
}  // namespace reporting_world
