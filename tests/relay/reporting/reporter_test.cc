// A day's reports: when they are made, of what, for whom, and that each one is made once.
#include "relay/reporting/reporter.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

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
