// Reports: every step is on disk once told so, a mail and the note about it only together.
#include "relay/spool/report_store.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "relay/spool/spool.h"
#include "tests/relay/spool/fixture.h"

namespace relay::spool::testing {

namespace {

using namespace std::chrono_literals;

const ReportKey kKey{std::chrono::year(2026) / 2 / 3, "a.example"};
constexpr net::WallTime kMoment{std::chrono::seconds(1'770'000'000)};

/// A spool that is asked and read from one place.
struct ReportWorld {
  ReportWorld() { open(); }
  void open() {
    reader.reset();
    spool.reset();
    spool = open_spool(directory.spool(), clock);
    reader = open_reader(directory.spool());
  }
  void write(const ReportWrite& write) {
    REQUIRE(thread.ask<Stored<void>>([&](std::function<void(Stored<void>)> done) {
      spool->write_report(write, thread.loop(), std::move(done));
    }));
  }
  std::vector<ReportDelivery> deliveries() { return *reader->report_deliveries(kKey); }

  TemporaryDirectory directory;
  ManualClock clock;
  LoopThread thread;
  std::unique_ptr<Spool> spool;
  std::unique_ptr<SpoolReader> reader;
};

StoredReport rendered_report() {
  StoredReport report;
  report.key = kKey;
  report.state = ReportState::rendered;
  report.due = kMoment;
  report.id = "x@b.example";
  report.file_name = "b.example!a.example!1!2.json.gz";
  report.rendered_at = kMoment + 1s;
  report.summary = "All is well.\n";
  report.content = std::string("\x1f\x8b\0\xff", 4);
  report.note = "n";
  return report;
}

ReportDelivery delivery_to(const std::string& uri) {
  ReportDelivery delivery;
  delivery.key = kKey;
  delivery.uri = uri;
  delivery.attempts = 2;
  delivery.first_attempt = kMoment;
  delivery.next_attempt = kMoment + 5min;
  delivery.result = "503";
  return delivery;
}

/// A mail of a report, in the queue with the note about it.
MessageId hand_over(ReportWorld& world, const std::string& uri) {
  Notice mail;
  mail.envelope = envelope_to({"a.example"});
  mail.envelope.id = world.spool->new_id();
  mail.envelope.origin = Origin::report;
  mail.content = "Subject: x\r\n\r\n";
  const MessageId id = mail.envelope.id;
  ReportDelivery delivery = delivery_to(uri);
  delivery.stage = rpt::Stage::handed_over;
  delivery.attempts = 0;
  delivery.message = id;
  ReportWrite write;
  write.deliveries = {delivery};
  write.mails = {mail};
  world.write(write);
  return id;
}

}  // namespace

TEST_CASE("reports: every field is there after a restart") {
  ReportWorld world;
  ReportWrite write;
  write.records = {{kKey, {"mailto:t@a.example", "https://u:p@r.example/"}}};
  write.planned = {{{kKey.day, "z.example"}, kMoment + 1h}};
  write.reports = {rendered_report()};
  write.deliveries = {delivery_to("https://r.example/"), delivery_to("mailto:t@a.example")};
  write.suppressions = {{"mailto:x@a.example", kMoment + 24h, "550 no"}};
  world.write(write);
  world.open();
  CHECK(*world.reader->report(kKey) == rendered_report());
  CHECK(world.deliveries() == write.deliveries);
  CHECK(*world.reader->report_record(kKey) == write.records[0].uris);
  CHECK(world.reader->report_record({kKey.day, "z.example"})->empty());
  CHECK(*world.reader->report_suppressions() == write.suppressions);
  const auto reports = *world.reader->reports({});
  REQUIRE(reports.size() == 2);
  CHECK(reports[0].content.empty());
  CHECK(reports[0].id == "x@b.example");
  CHECK(reports[1].key.domain == "z.example");
  CHECK(reports[1].state == ReportState::planned);
  CHECK(reports[1].due == kMoment + 1h);
}

TEST_CASE("reports: lists go by day and domain, in pages") {
  ReportWorld world;
  ReportWrite write;
  const auto next_day = kKey.day + std::chrono::days(1);
  for (const ReportKey& key : {ReportKey{next_day, "a.example"}, ReportKey{kKey.day, "b.example"},
                               ReportKey{kKey.day, "a.example"}}) {
    write.planned.push_back({key, kMoment});
  }
  world.write(write);
  const auto keys = [&](const ReportQuery& query) {
    std::string text;
    const auto reports = *world.reader->reports(query);
    for (const StoredReport& report : reports) {
      text += day_text(report.key.day) + " " + report.key.domain + ";";
    }
    return text;
  };
  CHECK(keys({}) == "2026-02-03 a.example;2026-02-03 b.example;2026-02-04 a.example;");
  CHECK(keys({.day = kKey.day}) == "2026-02-03 a.example;2026-02-03 b.example;");
  CHECK(keys({.domain = "a.example"}) == "2026-02-03 a.example;2026-02-04 a.example;");
  CHECK(keys({.limit = 1}) == "2026-02-03 a.example;");
  CHECK(keys({.after = kKey, .limit = 1}) == "2026-02-03 b.example;");
}

TEST_CASE("reports: what is planned once stays as it is, however often it is planned again") {
  ReportWorld world;
  ReportWrite write;
  write.planned = {{kKey, kMoment}};
  world.write(write);
  ReportWrite made;
  made.reports = {rendered_report()};
  world.write(made);
  write.planned[0].due = kMoment + 9h;
  world.write(write);
  CHECK(*world.reader->report(kKey) == rendered_report());
}

TEST_CASE("reports: what a report says is in no further part, what is counted later is") {
  ReportWorld world;
  const auto failed = [] {
    auto result = session("a.example");
    result.policies[0].failures = {
        {rpt::ResultType::certificate_expired, "192.0.2.1", "mx.example", "", "", "x"}};
    return result;
  };
  world.spool->count({session("a.example"), failed(), failed()});
  world.write({});
  const auto read = *world.reader->unreported_tally(kKey.day, "a.example");
  // Counted after the report was made of what had been read, and before it was stored.
  world.spool->count({failed()});
  ReportWrite write;
  write.reports = {rendered_report()};
  write.closed = {{kKey.day, read}};
  world.write(write);
  world.open();
  const ReportKey second{kKey.day, "a.example", 2};
  CHECK(*world.reader->unplanned_reports({kKey.day, ""}, kKey.day + std::chrono::days(1), 10) ==
        std::vector{second});
  const auto late = *world.reader->unreported_tally(kKey.day, "a.example");
  REQUIRE(late.counts().size() == 1);
  CHECK(late.counts().begin()->second.successful_sessions == 0);
  CHECK(late.counts().begin()->second.failed_sessions == 1);
  REQUIRE(late.counts().begin()->second.failures.size() == 1);
  CHECK(late.counts().begin()->second.failures.begin()->second == 1);
  const auto all = *world.reader->tally(kKey.day, "a.example");
  CHECK(all.counts().begin()->second.successful_sessions == 1);
  CHECK(all.counts().begin()->second.failed_sessions == 3);

  StoredReport part = rendered_report();
  part.key = second;
  part.id = "y@b.example";
  ReportDelivery delivery = delivery_to("mailto:t@a.example");
  delivery.key = second;
  write = {};
  write.reports = {part};
  write.deliveries = {delivery};
  write.closed = {{kKey.day, late}};
  world.write(write);
  CHECK(world.reader->unreported_tally(kKey.day, "a.example")->counts().empty());
  CHECK(world.reader->unplanned_reports({kKey.day, ""}, kKey.day + std::chrono::days(1), 10)
            ->empty());
  CHECK(*world.reader->report(kKey) == rendered_report());
  CHECK(*world.reader->report(second) == part);
  CHECK(world.deliveries().empty());
  CHECK(*world.reader->report_deliveries(second) == std::vector{delivery});
  CHECK(world.reader->reports({.after = kKey})->size() == 1);
  CHECK(world.reader->reports({.after = second})->empty());
}

TEST_CASE("reports: a day has so many parts and no more") {
  ReportWorld world;
  StoredReport last = rendered_report();
  ReportWrite write;
  for (last.key.part = 1; last.key.part < kMostParts; ++last.key.part) {
    write.reports.push_back(last);
  }
  world.write(write);
  world.spool->count({session("a.example")});
  const auto unplanned = [&] {
    return *world.reader->unplanned_reports({kKey.day, ""}, kKey.day + std::chrono::days(1), 10);
  };
  world.write({});
  CHECK(unplanned() == std::vector{last.key});
  write.reports = {last};
  world.write(write);
  CHECK(unplanned().empty());
}

TEST_CASE("reports: mails in the queue are known by their destinations, until they are gone") {
  ReportWorld world;
  CHECK(world.reader->queued_reports()->empty());
  const MessageId first = hand_over(world, "mailto:t@a.example");
  hand_over(world, "mailto:t@b.example");
  CHECK(world.reader->queued_reports()->size() == 2);
  Settlement settlement;
  settlement.id = first;
  settlement.updates = {{0, RecipientUpdate::Outcome::delivered, {}, ""}};
  settlement.report = ReportMailOutcome{};
  REQUIRE(settle(*world.spool, world.thread, settlement));
  CHECK(*world.reader->queued_reports() == std::vector<std::string>{"mailto:t@b.example"});
}

TEST_CASE("reports: deliveries that end are counted by scheme and outcome, when that is stored") {
  ReportWorld world;
  ReportWrite write;
  for (const auto& [uri, stage] : {std::pair("https://r.example/v1", rpt::Stage::accepted),
                                   {"https://r.example/v2", rpt::Stage::accepted},
                                   {"https://r.example/v3", rpt::Stage::expired},
                                   {"https://r.example/v4", rpt::Stage::rendered},
                                   {"mailto:gone@a.example", rpt::Stage::refused}}) {
    write.deliveries.push_back(delivery_to(uri));
    write.deliveries.back().stage = stage;
  }
  world.write(write);
  Settlement settlement;
  settlement.id = hand_over(world, "mailto:t@a.example");
  settlement.report = ReportMailOutcome{rpt::Stage::handed_over, "451 later", {}};
  REQUIRE(settle(*world.spool, world.thread, settlement));
  CHECK(world.spool->statistics().reports.mail.accepted == 0);
  settlement.report = ReportMailOutcome{};
  REQUIRE(settle(*world.spool, world.thread, settlement));
  const ReportTotals reports = world.spool->statistics().reports;
  CHECK(reports.https.accepted == 2);
  CHECK(reports.https.refused == 0);
  CHECK(reports.https.expired == 1);
  CHECK(reports.mail.accepted == 1);
  CHECK(reports.mail.refused == 1);
}

TEST_CASE("reports: only closed days without a report are to be planned") {
  ReportWorld world;
  world.spool->count({session("a.example"), session("b.example"), session("b.example")});
  auto later = session("c.example");
  later.ended_at += std::chrono::days(1);
  world.spool->count({later});
  ReportWrite write;
  write.planned = {{kKey, kMoment}};
  world.write(write);
  const auto day = session_day();
  const auto next_day = day + std::chrono::days(1);
  using Keys = std::vector<ReportKey>;
  CHECK(*world.reader->unplanned_reports({day, ""}, next_day, 10) == Keys{{day, "b.example"}});
  CHECK(world.reader->unplanned_reports({day, ""}, next_day + std::chrono::days(1), 10)->size() ==
        2);
  CHECK(world.reader->unplanned_reports({day, ""}, next_day + std::chrono::days(1), 1)->size() ==
        1);
  CHECK(world.reader->unplanned_reports({next_day, ""}, next_day, 10)->empty());
  CHECK(world.reader->unplanned_reports({day, "b.example"}, next_day, 10)->empty());
  CHECK(*world.reader->unplanned_reports({day, "b.example"}, next_day + std::chrono::days(1), 10) ==
        Keys{{next_day, "c.example"}});
}

TEST_CASE("reports: what is due comes in order of time, and the next moment is known") {
  ReportWorld world;
  ReportWrite write;
  write.planned = {{{kKey.day, "late.example"}, kMoment + 1h},
                   {{kKey.day, "second.example"}, kMoment},
                   {{kKey.day, "first.example"}, kMoment - 1s}};
  ReportDelivery accepted = delivery_to("mailto:accepted@a.example");
  accepted.stage = rpt::Stage::accepted;
  accepted.next_attempt = kMoment - 1s;
  ReportDelivery due = delivery_to("https://due.example/");
  due.next_attempt = kMoment;
  write.deliveries = {accepted, due, delivery_to("https://later.example/")};
  world.write(write);
  hand_over(world, "mailto:queued@a.example");
  const auto found = *world.reader->due_reports(kMoment, 10);
  REQUIRE(found.planned.size() == 2);
  CHECK(found.planned[0].domain == "first.example");
  CHECK(found.planned[1].domain == "second.example");
  CHECK(found.deliveries == std::vector{due});
  CHECK(found.next == kMoment + 5min);
  CHECK(world.reader->due_reports(kMoment, 1)->planned.size() == 1);

  ReportWrite hasten;
  hasten.hasten = HastenReports{"late.example", kMoment};
  world.write(hasten);
  CHECK(world.reader->due_reports(kMoment, 10)->planned.size() == 3);
  CHECK(world.reader->due_reports(kMoment, 10)->deliveries.size() == 1);
  hasten.hasten->domain = "";
  world.write(hasten);
  CHECK(world.reader->due_reports(kMoment, 10)->deliveries.size() == 2);
}

TEST_CASE("reports: a mail's end is that of its delivery, stored with it") {
  struct Row {
    RecipientUpdate::Outcome outcome;
    ReportMailOutcome report;
    bool queued, suppressed;
  };
  const std::vector<Row> rows{
      {RecipientUpdate::Outcome::delivered, {rpt::Stage::accepted, "250 ok", {}}, false, false},
      {RecipientUpdate::Outcome::deferred, {rpt::Stage::handed_over, "451 later", {}}, true, false},
      {RecipientUpdate::Outcome::failed,
       {rpt::Stage::refused, "550 no", kMoment + 24h * 7},
       false,
       true},
      {RecipientUpdate::Outcome::failed,
       {rpt::Stage::expired, "451 still", kMoment + 24h * 7},
       false,
       true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.report.result);
    ReportWorld world;
    const MessageId id = hand_over(world, "mailto:t@a.example");
    hand_over(world, "mailto:other@a.example");
    CHECK(read_content(*world.reader, id) == "Subject: x\r\n\r\n");
    Settlement settlement;
    settlement.id = id;
    settlement.updates = {{0, row.outcome, kMoment + 1h, row.report.result}};
    settlement.report = row.report;
    REQUIRE(settle(*world.spool, world.thread, settlement));
    const auto deliveries = world.deliveries();
    REQUIRE(deliveries.size() == 2);
    CHECK(deliveries[0].stage == rpt::Stage::handed_over);
    CHECK(deliveries[0].attempts == 0);
    CHECK(deliveries[1].stage == row.report.stage);
    CHECK(deliveries[1].result == row.report.result);
    CHECK(deliveries[1].attempts == 1);
    CHECK(deliveries[1].message.has_value() == row.queued);
    const auto suppressions = *world.reader->report_suppressions();
    CHECK(suppressions.size() == (row.suppressed ? 1 : 0));
    if (row.suppressed) {
      CHECK(suppressions.at(0) ==
            ReportSuppression{"mailto:t@a.example", kMoment + 24h * 7, row.report.result});
      ReportWrite lift;
      lift.lifted = {"mailto:t@a.example"};
      world.write(lift);
      CHECK(world.reader->report_suppressions()->empty());
    }
  }
}

TEST_CASE("reports: a mail that the operator removes ends its delivery, without suppression") {
  ReportWorld world;
  const MessageId id = hand_over(world, "mailto:t@a.example");
  CHECK(change(*world.spool, world.thread, {{MessageChange::Kind::remove, id}}) ==
        std::vector<std::size_t>{1});
  REQUIRE(world.deliveries().size() == 1);
  CHECK(world.deliveries()[0].stage == rpt::Stage::refused);
  CHECK(world.deliveries()[0].result == "removed by the operator");
  CHECK(world.reader->report_suppressions()->empty());
}

TEST_CASE("reports: old days go bit by bit, newer ones and what they refer to stay") {
  ReportWorld world;
  std::vector<rpt::SessionResult> sessions;
  const auto count = static_cast<int>(kForgottenAtOnce) + 5;
  for (int n = 0; n < count; ++n) {
    sessions.push_back(session("d" + std::to_string(n) + ".example"));
    sessions.back().policies[0].failures = {
        {rpt::ResultType::certificate_expired, "", "mx.example", "", "", "x"}};
  }
  auto newer = session("new.example");
  newer.ended_at += std::chrono::days(1);
  sessions.push_back(newer);
  world.spool->count(sessions);
  const ReportKey new_key{kKey.day + std::chrono::days(1), "new.example"};
  ReportWrite write;
  write.records = {{kKey, {"x"}}, {new_key, {"y"}}};
  write.planned = {{kKey, kMoment}, {new_key, kMoment}};
  write.deliveries = {delivery_to("https://r.example/")};
  write.suppressions = {{"mailto:old@a.example", kMoment, "x"},
                        {"mailto:new@a.example", kMoment + 1s, "x"}};
  world.write(write);
  CHECK(*world.reader->first_report_day() == kKey.day);

  ReportWrite forget;
  forget.forget_before = new_key.day;
  forget.forget_suppressions = kMoment + 1s;
  world.write(forget);
  CHECK(world.reader->tally(session_day())->counts().size() == 5);
  CHECK(*world.reader->first_report_day() == kKey.day);
  world.write(forget);
  CHECK(*world.reader->first_report_day() == new_key.day);
  CHECK(world.reader->tally(session_day())->counts().empty());
  CHECK(world.reader->tally(new_key.day)->counts().size() == 1);
  CHECK(world.reader->tally(new_key.day, "new.example")->counts().size() == 1);
  CHECK(world.reader->tally(new_key.day, "d1.example")->counts().empty());
  CHECK(world.reader->reports({})->size() == 1);
  CHECK(world.deliveries().empty());
  CHECK(world.reader->report_record(kKey)->empty());
  CHECK(world.reader->report_suppressions()->size() == 1);
  CHECK(run_sql(world.directory.database(), "SELECT count(*) FROM report_policies") == "1");
  // A policy that was forgotten is stored anew when it is counted again.
  world.spool->count({session("d1.example")});
  world.write({});
  CHECK(world.reader->tally(session_day(), "d1.example")->counts().size() == 1);
}

}  // namespace relay::spool::testing
