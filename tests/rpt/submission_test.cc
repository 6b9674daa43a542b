#include "rpt/submission.h"

#include <array>
#include <map>

#include <doctest/doctest.h>

#include "tests/rpt/golden.h"

namespace {

using namespace std::chrono_literals;
using rpt::HttpVerdict;
using rpt::Stage;
using std::chrono::seconds;
using std::chrono::sys_seconds;

const std::chrono::sys_days kDay{std::chrono::year{2026} / 8 / 20};
const sys_seconds kDayEnd = kDay + std::chrono::days{1};
const sys_seconds kNow = kDayEnd + 1h;

std::vector<rpt::Destination> destinations(const std::vector<std::string>& uris) {
  std::vector<rpt::Destination> parsed;
  for (const std::string& uri : uris) {
    parsed.push_back(*rpt::parse_destination(uri));
  }
  return parsed;
}

const std::vector<rpt::Destination> kStored = destinations({"mailto:a@x.example"});
const std::vector<rpt::Destination> kNewer =
    destinations({"https://r.example/v1", "mailto:b@x.example"});

rpt::Plan plan(const std::vector<rpt::Destination>& stored, const rpt::RecordAnswer& answer,
               sys_seconds now = kNow) {
  return rpt::plan(stored, answer, {kDay, now});
}

// A destination whose every answer is the same, until it is given up or has accepted.
struct Attempts {
  rpt::Delivery delivery;
  std::vector<seconds> at;  ///< since the first attempt
};
Attempts attempts(HttpVerdict verdict, double jitter) {
  Attempts made;
  made.delivery.stage = Stage::rendered;
  sys_seconds now = kNow;
  while (made.delivery.stage == Stage::rendered) {
    made.delivery = rpt::attempted(made.delivery, now);
    made.at.push_back(now - kNow);
    made.delivery = rpt::answered(made.delivery, {verdict, now, std::nullopt, jitter});
    now = made.delivery.next_attempt;
  }
  return made;
}

}  // namespace

TEST_CASE("D09: first tries lie in the window, are the same on every run, and are spread") {
  REQUIRE(golden::row("D09")["what"].as<std::string>() == "first try time");
  std::map<sys_seconds::rep, int> per_minute;
  for (int i = 0; i < 1000; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    const sys_seconds at = rpt::first_try(kDay, domain, "sender.example", {});
    CHECK(at == rpt::first_try(kDay, domain, "sender.example", {}));
    CHECK(at >= kDayEnd + 10min);
    CHECK(at < kDayEnd + 4h);
    ++per_minute[(at - kDayEnd).count() / 60];
  }
  for (const auto& [minute, tries] : per_minute) {
    CAPTURE(minute);
    CHECK(tries <= 20);
  }
  CHECK(per_minute.size() > 200);
}

TEST_CASE("T69: senders differ, days do not, and an empty window is its opening") {
  const auto at = [](const char* key, std::chrono::sys_days day, const rpt::SendingWindow& window) {
    return rpt::first_try(day, "rcpt.example", key, window) - (day + std::chrono::days{1});
  };
  CHECK(at("one.example", kDay, {}) == at("one.example", kDay + std::chrono::days{1}, {}));
  CHECK(at("one.example", kDay, {}) != at("other.example", kDay, {}));
  CHECK(at("one.example", kDay, {5min, 5min}) == 5min);
  CHECK(at("one.example", kDay, {5min, 1min}) == 5min);
  // Of all releases: who is updated at midnight must not send again.
  CHECK(at("one.example", kDay, {}) == seconds{12177});
}

TEST_CASE("D11: the golden table of HTTP statuses") {
  const std::map<std::string, HttpVerdict> verdicts = {{"accepted", HttpVerdict::accepted},
                                                       {"retry", HttpVerdict::retry},
                                                       {"permanent", HttpVerdict::permanent}};
  const YAML::Node table = golden::row("D11")["out"];
  REQUIRE(table.size() == 13);
  for (const auto& row : table) {
    const auto status = row.first.as<int>();
    CAPTURE(status);
    CHECK(rpt::judge_http(status) == verdicts.at(row.second.as<std::string>()));
  }
}

TEST_CASE("T67: any 2xx is accepted, and what is no final status says nothing") {
  for (const auto& [status, verdict] : {std::pair{299, HttpVerdict::accepted},
                                        {300, HttpVerdict::permanent},
                                        {308, HttpVerdict::permanent},
                                        {499, HttpVerdict::permanent},
                                        {599, HttpVerdict::retry},
                                        {101, HttpVerdict::retry},
                                        {0, HttpVerdict::retry},
                                        {-1, HttpVerdict::retry}}) {
    CAPTURE(status);
    CHECK(rpt::judge_http(status) == verdict);
  }
}

TEST_CASE("D12: a report is delivered once one destination accepts, and the other expires") {
  const Attempts good = attempts(HttpVerdict::accepted, 0);
  const Attempts bad = attempts(HttpVerdict::retry, 0);
  CHECK(good.at.size() == 1);
  CHECK(name(good.delivery.stage) == "accepted");
  CHECK(name(bad.delivery.stage) == "expired");
  const auto golden = golden::row("D12")["out"].as<std::string>();
  CHECK(golden ==
        "report state " +
            std::string{name(rpt::report_state(std::array{good.delivery, bad.delivery}))} +
            "; destination states " + std::string{name(good.delivery.stage)} + " and " +
            std::string{name(bad.delivery.stage)});
}

TEST_CASE("a report is pending until one accepts or all have ended") {
  using rpt::ReportState;
  const auto state = [](Stage one, Stage other) {
    return rpt::report_state(std::array{rpt::Delivery{one}, rpt::Delivery{other}});
  };
  CHECK(state(Stage::planned, Stage::refused) == ReportState::pending);
  CHECK(state(Stage::handed_over, Stage::expired) == ReportState::pending);
  CHECK(state(Stage::refused, Stage::expired) == ReportState::given_up);
  CHECK(state(Stage::rendered, Stage::accepted) == ReportState::delivered);
  CHECK(name(ReportState::pending) == "pending");
  CHECK(name(ReportState::given_up) == "given-up");
}

TEST_CASE("T68: retries go on for 24 h, each pause twice the last up to 4 h") {
  const Attempts made = attempts(HttpVerdict::retry, 0);
  CHECK(made.at == std::vector<seconds>{0min, 5min, 15min, 35min, 75min, 155min, 315min, 555min,
                                        795min, 1035min, 1275min, 1440min});
  CHECK(made.delivery.attempts == 12);
  CHECK(made.delivery.first_attempt == kNow);
  const Attempts later = attempts(HttpVerdict::retry, 0.999);
  REQUIRE(later.at.size() > 2);
  CHECK(later.at[1] == 375s);
  CHECK(later.at[2] == 375s + 750s);
  CHECK(later.at.back() == 24h);
  CHECK(attempts(HttpVerdict::permanent, 0).delivery.stage == Stage::refused);
}

TEST_CASE("T68: Retry-After is honoured, also where it ends the tries") {
  const auto next = [](seconds now, std::optional<seconds> asked) {
    return rpt::next_try({kNow, 1, kNow + now, asked, 0});
  };
  CHECK(next(0s, std::nullopt) == kNow + 5min);
  CHECK(next(0s, 1s) == kNow + 5min);
  CHECK(next(0s, 2h) == kNow + 2h);
  CHECK(next(0s, 24h) == kNow + 24h);
  CHECK_FALSE(next(0s, 24h + 1s));
  CHECK(next(24h - 1s, std::nullopt) == kNow + 24h);
  CHECK_FALSE(next(24h, std::nullopt));
  CHECK(rpt::next_try({kNow, 1000000, kNow, std::nullopt, 0}) == kNow + 4h);
}

TEST_CASE("Retry-After is seconds or a date") {
  const sys_seconds now = kDay + 12h;
  const auto read = [&](std::string_view value) { return rpt::parse_retry_after(value, now); };
  CHECK(read("0") == 0s);
  CHECK(read("120") == 120s);
  CHECK(read("99999999999999999999") == 999999999s);
  CHECK(read("Thu, 20 Aug 2026 12:01:40 GMT") == 100s);
  CHECK(read("Thu, 20 Aug 2026 11:00:00 GMT") == 0s);
  for (const std::string_view bad :
       {"", "-1", "+1", "1.5", "1 ", "soon", "Thu, 20 Aug 2026 12:01:40 CET",
        "Thu, 20 ugS 2026 12:01:40 GMT", "Thu, 31 Feb 2026 12:01:40 GMT",
        "Thu, 20 Aug 2026 24:01:40 GMT", "Thu, -2 Aug 2026 12:01:40 GMT",
        "Thu, 20 Aug 2026 12:01:40 GMT "}) {
    CAPTURE(bad);
    CHECK_FALSE(read(bad));
  }
}

TEST_CASE("D17: a record removed between event and sending withdraws the report") {
  REQUIRE(golden::row("D17")["out"].as<std::string>() == "no report");
  REQUIRE(golden::row("D17")["state withdrawn"].IsDefined());
  for (const auto& [fault, why] : {std::pair{rpt::RecordFault::absent, "record-absent"},
                                   {rpt::RecordFault::several, "record-several"},
                                   {rpt::RecordFault::malformed, "record-malformed"}}) {
    const auto made = plan(kStored, fault);
    REQUIRE(std::holds_alternative<rpt::Withdrawn>(made));
    CHECK(std::get<rpt::Withdrawn>(made).why == why);
  }
  const auto made = plan(kStored, rpt::Record{});
  REQUIRE(std::holds_alternative<rpt::Withdrawn>(made));
  CHECK(std::get<rpt::Withdrawn>(made).why == "no-usable-destination");
}

TEST_CASE("D18: if the record cannot be asked for, the stored destinations are used") {
  REQUIRE(golden::row("D18")["out"].as<std::string>() ==
          "destinations stored at event time are used");
  const auto made = plan(kStored, rpt::LookupFailed{}, kDayEnd + 100h);
  REQUIRE(std::holds_alternative<rpt::Deliver>(made));
  CHECK(std::get<rpt::Deliver>(made).destinations == kStored);
}

TEST_CASE("T11: the newer record decides, in its order") {
  for (const auto& stored : {kStored, kNewer, {}}) {
    const auto made = plan(stored, rpt::Record{kNewer, {}});
    REQUIRE(std::holds_alternative<rpt::Deliver>(made));
    CHECK(std::get<rpt::Deliver>(made).destinations == kNewer);
  }
}

TEST_CASE("T10: without any answer the record is asked for again for 48 h") {
  const auto made = plan({}, rpt::LookupFailed{});
  REQUIRE(std::holds_alternative<rpt::Later>(made));
  CHECK(std::get<rpt::Later>(made).at == kNow + 1h);
  const auto last = plan({}, rpt::LookupFailed{}, kDayEnd + 48h - 1s);
  REQUIRE(std::holds_alternative<rpt::Later>(last));
  CHECK(std::get<rpt::Later>(last).at == kDayEnd + 48h);
  const auto over = plan({}, rpt::LookupFailed{}, kDayEnd + 48h);
  REQUIRE(std::holds_alternative<rpt::Withdrawn>(over));
  CHECK(std::get<rpt::Withdrawn>(over).why == "lookup-failed");
}

TEST_CASE("a crash during an attempt leaves it due, and does not prolong the 24 h") {
  rpt::Delivery delivery = rpt::attempted({Stage::rendered}, kNow);
  CHECK(delivery.stage == Stage::handed_over);
  CHECK(delivery.next_attempt == kNow);
  delivery = rpt::attempted(delivery, kNow + 10h);
  CHECK(delivery.first_attempt == kNow);
  CHECK(delivery.attempts == 2);
  delivery = rpt::answered(delivery, {HttpVerdict::retry, kNow + 24h, std::nullopt, 0});
  CHECK(delivery.stage == Stage::expired);
}

TEST_CASE("every stage has one name and is found by it") {
  for (int i = 0; i <= static_cast<int>(Stage::expired); ++i) {
    const auto stage = static_cast<Stage>(i);
    CHECK(rpt::parse_stage(name(stage)) == stage);
  }
  CHECK_FALSE(rpt::parse_stage("handed_over"));
}
