// What the control socket says and does about reports.
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "relay/control/control_actions.h"
#include "rpt/report.h"
#include "tests/relay/spool/fixture.h"

namespace {

using namespace relay::control;
using namespace relay::spool::testing;
namespace spool = relay::spool;
using Json = nlohmann::ordered_json;

const spool::ReportKey kKey{session_day(), "a.example"};

/// A daemon that is only a spool.
class Subject {
 public:
  Subject() {
    DaemonActions daemon;
    daemon.preview_report = [this](const spool::ReportKey& key) {
      return spool::Stored<std::optional<relay::reporting::Preview>>(
          key.domain == "none.example" ? std::nullopt : std::optional(preview_of(key)));
    };
    daemon.change_reports = [this](spool::ReportWrite write,
                                   std::function<void(spool::Stored<void>)> done) {
      store->write_report(std::move(write), thread.loop(), std::move(done));
    };
    actions = std::make_unique<ControlActions>(*reader, clock, std::move(daemon));
  }
  Response execute(const Request& request) {
    return thread.ask<Response>([&](std::function<void(Response)> answer) {
      actions->execute(request, std::move(answer));
    });
  }
  Json data(const Request& request) {
    const Response response = execute(request);
    REQUIRE(response.error == "");
    return Json::parse(response.data);
  }
  void write(const spool::ReportWrite& write) {
    REQUIRE(thread.ask<spool::Stored<void>>([&](std::function<void(spool::Stored<void>)> done) {
      store->write_report(write, thread.loop(), std::move(done));
    }));
  }
  static relay::reporting::Preview preview_of(const spool::ReportKey& key) {
    relay::reporting::Preview preview;
    preview.report.contact = "tls@sender.example";
    preview.report.domain = key.domain;
    preview.report.day = key.day;
    rpt::PolicySummary policy;
    policy.successful_sessions = 3;
    policy.failed_sessions = 1;
    preview.report.policies = {policy, policy};
    preview.destinations = {*rpt::parse_destination("https://u:secret@r.example/v1")};
    return preview;
  }

  ManualClock clock;
  TemporaryDirectory directory;
  std::unique_ptr<spool::Spool> store = open_spool(directory.spool(), clock);
  std::unique_ptr<spool::SpoolReader> reader = open_reader(directory.spool());
  std::unique_ptr<ControlActions> actions;
  LoopThread thread;
};

spool::ReportWrite stored_reports(relay::net::WallTime now) {
  spool::StoredReport made;
  made.key = kKey;
  made.state = spool::ReportState::rendered;
  made.id = "1@sender.example";
  made.rendered_at = now;
  made.summary = "All is well.\n";
  made.content = rpt::gzip(R"({"report-id":"1@sender.example"})");
  spool::StoredReport unwanted;
  unwanted.key = {kKey.day, "b.example"};
  unwanted.state = spool::ReportState::withdrawn;
  unwanted.note = "record-absent";
  spool::ReportDelivery delivery;
  delivery.key = kKey;
  delivery.uri = "https://u:secret@r.example/v1";
  delivery.stage = rpt::Stage::handed_over;
  delivery.attempts = 1;
  delivery.first_attempt = now;
  delivery.next_attempt = now + std::chrono::minutes(5);
  delivery.result = "503";
  spool::ReportWrite write;
  write.reports = {made, unwanted};
  write.planned = {{{kKey.day, "c.example"}, now + std::chrono::hours(1)}};
  write.deliveries = {delivery};
  return write;
}

}  // namespace

TEST_CASE("report list: by day and domain, unwanted ones on demand, credentials never") {
  Subject subject;
  subject.write(stored_reports(subject.clock.wall()));
  const Json list = subject.data(ReportList{});
  REQUIRE(list["reports"].size() == 2);
  const Json& first = list["reports"][0];
  CHECK(first["domain"] == "a.example");
  CHECK(first["day"] == "2026-02-03");
  CHECK(first["state"] == "rendered");
  CHECK(first["outcome"] == "pending");
  CHECK(first["due"].is_null());
  REQUIRE(first["deliveries"].size() == 1);
  CHECK(first["deliveries"][0]["uri"] == "https://r.example/v1");
  CHECK(first["deliveries"][0]["stage"] == "handed-over");
  CHECK(first["deliveries"][0]["result"] == "503");
  CHECK(first["deliveries"][0]["next_attempt"].is_string());
  CHECK(list["reports"][1]["state"] == "planned");
  CHECK(list["reports"][1]["outcome"].is_null());
  CHECK(list["reports"][1]["due"].is_string());
  CHECK(list.dump().find("secret") == std::string::npos);

  ReportList all;
  all.all = true;
  CHECK(subject.data(all)["reports"].size() == 3);
  all.limit = 1;
  CHECK(subject.data(all)["next"] == "2026-02-03 1 a.example");
  all.after = "2026-02-03 1 a.example";
  const Json second = subject.data(all);
  CHECK(second["reports"][0]["domain"] == "b.example");
  CHECK(second["reports"][0]["note"] == "record-absent");
  ReportList other;
  other.domain = "C.example";
  CHECK(subject.data(other)["reports"].size() == 1);
  other.day = kKey.day + std::chrono::days(1);
  CHECK(subject.data(other)["reports"].empty());
}

TEST_CASE("report list: a report is delivered once one destination has it, given up without any") {
  struct Row {
    rpt::Stage first, second;
    const char* outcome;
  };
  const std::vector<Row> rows{
      {rpt::Stage::accepted, rpt::Stage::expired, "delivered"},
      {rpt::Stage::accepted, rpt::Stage::rendered, "delivered"},
      {rpt::Stage::refused, rpt::Stage::handed_over, "pending"},
      {rpt::Stage::refused, rpt::Stage::expired, "given-up"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.outcome);
    Subject subject;
    spool::ReportWrite write = stored_reports(subject.clock.wall());
    write.deliveries.push_back(write.deliveries.front());
    write.deliveries[0].stage = row.first;
    write.deliveries[1].stage = row.second;
    write.deliveries[1].uri = "mailto:t@r.example";
    subject.write(write);
    CHECK(subject.data(ReportList{})["reports"][0]["outcome"] == row.outcome);
  }
}

TEST_CASE("report show: the report as it was made, or how to see what it would be") {
  Subject subject;
  subject.write(stored_reports(subject.clock.wall()));
  const Json shown = subject.data(ReportShow{kKey.day, "A.example"});
  CHECK(shown["json"]["report-id"] == "1@sender.example");
  CHECK(shown["summary"] == "All is well.\n");
  CHECK(shown["deliveries"].size() == 1);
  CHECK(subject.data(ReportShow{kKey.day, "b.example"})["json"].is_null());
  CHECK(subject.execute(ReportShow{kKey.day, "z.example"}).error ==
        "there is no report of z.example for 2026-02-03; `stsrelay report preview z.example --day "
        "2026-02-03` shows what it would be");
  CHECK(subject.execute(ReportShow{kKey.day, "a.example", 2})
            .error.find("there is no part 2 of the report of a.example for 2026-02-03") == 0);
  spool::StoredReport late;
  late.key = {kKey.day, kKey.domain, 2};
  late.state = spool::ReportState::withdrawn;
  spool::ReportWrite write;
  write.reports = {late};
  subject.write(write);
  CHECK(subject.data(ReportShow{kKey.day, "a.example", 2})["part"] == 2);
}

TEST_CASE("report preview: one report in full, or a day's domains in short") {
  Subject subject;
  const Json one = subject.data(ReportPreview{kKey.day, "a.example"});
  CHECK(one["json"]["contact-info"] == "tls@sender.example");
  CHECK(one["destinations"] == Json{"https://r.example/v1"});
  CHECK(subject.execute(ReportPreview{kKey.day, "none.example"}).error ==
        "no session of none.example was counted on 2026-02-03 (UTC)");
  CHECK(subject.data(ReportPreview{kKey.day, ""})["previews"].empty());
  subject.store->count({session("b.example"), session("a.example"), session("none.example")});
  subject.write({});
  const Json day = subject.data(ReportPreview{kKey.day, ""});
  CHECK(day["domains"] == 3);
  REQUIRE(day["previews"].size() == 2);
  CHECK(day["previews"][0]["domain"] == "a.example");
  CHECK(day["previews"][0]["successful_sessions"] == 6);
  CHECK(day["previews"][0]["failed_sessions"] == 2);
}

TEST_CASE("report bounced: an accepted mail that came back is refused, its mailbox left alone") {
  Subject subject;
  spool::ReportWrite write = stored_reports(subject.clock.wall());
  spool::ReportDelivery& post = write.deliveries.front();
  spool::ReportDelivery mail = post;
  mail.uri = "mailto:tls@r.example";
  mail.stage = rpt::Stage::accepted;
  mail.result = "250 ok";
  write.deliveries.push_back(mail);
  subject.write(write);

  const ReportBounced bounced{"A.example", "1.3KX0W7QZ2H@sender.example", "TLS@r.example",
                              "5.2.2 full"};
  const Json data = subject.data(bounced);
  CHECK(data["uri"] == "mailto:tls@r.example");
  CHECK(data["day"] == "2026-02-03");
  const auto deliveries = *subject.reader->report_deliveries(kKey);
  REQUIRE(deliveries.size() == 2);
  CHECK(deliveries[0].stage == rpt::Stage::handed_over);  // the POST goes on
  CHECK(deliveries[1].stage == rpt::Stage::refused);
  CHECK(deliveries[1].result == "bounced: 5.2.2 full");
  const auto suppressions = *subject.reader->report_suppressions();
  REQUIRE(suppressions.size() == 1);
  CHECK(suppressions[0] == spool::ReportSuppression{"mailto:tls@r.example",
                                                    subject.clock.wall() + std::chrono::days(7),
                                                    "bounced: 5.2.2 full"});
}

TEST_CASE("report bounced: what is not known to have been sent changes nothing") {
  struct Row {
    ReportBounced bounced;
    std::string error;
  };
  const std::vector<Row> rows = {
      {{"a.example", "2.3KX0W7QZ2H@sender.example", "tls@r.example", ""}, "no mail <2."},
      {{"a.example", "1@sender.example", "tls@r.example", ""}, "no mail <1@"},
      {{"a.example", "1.Q@other.example", "tls@r.example", ""}, "no mail <1.Q@"},
      {{"z.example", "1.Q@sender.example", "tls@r.example", ""}, "no mail <1.Q@"},
      {{"a.example", "1.Q@sender.example", "x@r.example", ""}, "\"x@r.example\" is none of"},
      {{"a.example", "1.Q@sender.example", "queued@r.example", ""},
       "the mail to mailto:queued@r.example is still in the queue"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bounced.message_id);
    Subject subject;
    spool::ReportWrite write = stored_reports(subject.clock.wall());
    spool::ReportDelivery mail = write.deliveries.front();
    mail.uri = "mailto:tls@r.example";
    mail.stage = rpt::Stage::accepted;
    write.deliveries.push_back(mail);
    mail.uri = "mailto:queued@r.example";
    mail.stage = rpt::Stage::handed_over;
    mail.message = spool::MessageId(7);
    write.deliveries.push_back(mail);
    subject.write(write);
    CHECK(subject.execute(row.bounced).error.find(row.error) == 0);
    CHECK(subject.reader->report_suppressions()->empty());
  }
}

TEST_CASE("report send: what waits is due now, of one domain or of all") {
  Subject subject;
  subject.write(stored_reports(subject.clock.wall()));
  const auto due = [&] { return *subject.reader->due_reports(subject.clock.wall(), 10); };
  CHECK(due().planned.empty());
  CHECK(subject.data(ReportSend{"C.example"})["due_now"] == "c.example");
  CHECK(due().planned.size() == 1);
  CHECK(due().deliveries.empty());
  CHECK(subject.data(ReportSend{})["due_now"] == "all");
  CHECK(due().deliveries.size() == 1);
}

TEST_CASE("report suppress: set, listed and lifted") {
  Subject subject;
  const auto suppress = [](const std::string& uri, const std::string& until = "") {
    ReportSuppress request;
    request.uri = uri;
    request.until = until;
    return request;
  };
  CHECK(subject.data(suppress("t@A.example"))["uri"] == "mailto:t@a.example");
  auto dated = suppress("https://u:secret@r.example/", "2999-01-01T00:00:00Z");
  dated.reason = "ticket 7";
  CHECK(subject.data(dated)["until"] == "2999-01-01T00:00:00Z");
  const auto stored = *subject.reader->report_suppressions();
  REQUIRE(stored.size() == 2);
  CHECK(stored[0].uri == "https://u:secret@r.example/");
  CHECK(stored[0].why == "ticket 7");
  CHECK(stored[1].uri == "mailto:t@a.example");
  CHECK(stored[1].until == subject.clock.wall() + std::chrono::days(30));
  CHECK(stored[1].why == "by the operator");
  const Json list = subject.data(ReportSuppress{});
  REQUIRE(list["suppressions"].size() == 2);
  CHECK(list["suppressions"][0]["uri"] == "https://r.example/");
  CHECK_FALSE(list["suppressions"][0]["over"]);
  auto lift = suppress("mailto:t@a.example");
  lift.lift = true;
  CHECK(subject.data(lift)["lifted"] == "mailto:t@a.example");
  CHECK(subject.reader->report_suppressions()->size() == 1);
  CHECK(subject.execute(suppress("nobody")).error.find("\"nobody\" is no destination") == 0);
  CHECK(subject.execute(suppress("t@a.example", "soon")).error.find("\"soon\" is no date") == 0);
}
