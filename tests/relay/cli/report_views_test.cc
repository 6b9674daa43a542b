#include "relay/cli/report_views.h"

#include <doctest/doctest.h>
#include <yaml-cpp/yaml.h>

#include "relay/cli/report_chart.h"
#include "rpt/report.h"
#include "tests/relay/cli/report_collected.h"

namespace {

using namespace relay::cli;
using support::all_samples;
using support::collected;
using support::sound_report;

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::size_t occurrences(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

std::string golden_outcome(const std::string& id) {
  for (const YAML::Node& golden : YAML::LoadFile(STSRELAY_TEST_DATA "/tlsrpt-cases.yaml")["E"]) {
    if (golden["id"].as<std::string>() == id) {
      return golden["out"].as<std::string>();
    }
  }
  return {};
}

/// A report with hostile text in every field that has text.
nlohmann::json hostile_report(const std::string& text) {
  auto report = sound_report();
  report["organization-name"] = text;
  report["contact-info"] = text;
  report["report-id"] = text;
  report["date-range"]["start-datetime"] = text;
  auto& policy = report["policies"][0];
  policy["policy"]["policy-type"] = text;
  policy["policy"]["policy-domain"] = text;
  policy["policy"]["policy-string"] = {text};
  policy["policy"]["mx-host"] = {text};
  for (auto& [key, value] : policy["failure-details"][0].items()) {
    if (value.is_string()) {
      value = text;
    }
  }
  policy["failure-details"][0]["failure-reason-code"] = text;
  return report;
}

}  // namespace

TEST_CASE("a report as text, for a person") {
  CHECK(reports_as_text(collected({{"a.json", sound_report().dump()}}), ReportColour::none) ==
        R"(rcpt.example: 10 sessions, 90.00 % ok, 1 failed; 1 report from 1 reporter, 2026-08-20

  Sender (sender.example): 1 report, 2026-08-20
    sts              10 sessions, 90.00 % ok, 1 failed
    FAILED  RESULT TYPE          MX HOST           REASON
    1       certificate-expired  mx1.rcpt.example

  What the failures mean, and what usually helps
    certificate-expired
      A certificate of the server's chain had expired.
      Renew it, have renewal done by a program, and reload the mail server
      afterwards.

)");
}

TEST_CASE("reports of several senders are one domain with a summary of each") {
  const auto domains = summarize(all_samples());
  REQUIRE(domains.size() == 1);
  const auto& domain = domains.at("rcpt.example");
  CHECK(domain.reports == 5);
  CHECK(domain.counts.successful == 1180 + 608 + 40 + 5 + 9);
  CHECK(domain.counts.failed == 20 + 12 + 3 + 1 + 1);
  CHECK(days_text(domain.range) == "2026-08-18 to 2026-08-20");
  REQUIRE(domain.reporters.size() == 5);
  const auto& google = domain.reporters.at("google.com");
  CHECK(google.name == "Google Inc.");
  CHECK(google.failures.at({"certificate-expired", "mx1.rcpt.example"}).sessions == 14);
  CHECK(domain.reporters.contains("mail.sender.example"));  // no contact: the organization's name
  CHECK(domain.reporters.at("microsoft.com").by_policy.at("tlsa").failed == 12);
}

TEST_CASE("only no failure at all is 100 %") {
  CHECK(share_ok({0, 0}) == "-");
  CHECK(share_ok({7, 0}) == "100 %");
  CHECK(share_ok({999'999'999, 1}) == "99.99 %");
  CHECK(share_ok({1, 2}) == "33.33 %");
  CHECK(share_ok({0, 1}) == "0.00 %");
  CHECK(share_ok({UINT64_MAX, UINT64_MAX}) == "99.99 %");
}

TEST_CASE("E16: the same report mailed twice is counted once, and that is said") {
  CHECK(golden_outcome("E16") == "counted once");
  const auto mail = support::sample_report("google.eml");
  const auto collection = collected({{"a.eml", mail}, {"b.eml", mail}});
  CHECK(collection.reports().size() == 1);
  CHECK(summarize(collection).at("rcpt.example").counts.failed == 20);
  REQUIRE(collection.duplicates().size() == 1);
  CHECK(contains(reports_as_text(collection, ReportColour::none),
                 "Counted once: b.eml is the same report as a.eml"));
  CHECK(contains(reports_as_html(collection), "b.eml is the same report as a.eml"));
}

TEST_CASE("a copy that says something else is no silent loss") {
  auto other = sound_report();
  other["policies"][0]["summary"]["total-successful-session-count"] = 10;
  const auto collection = collected({{"a.json", sound_report().dump()}, {"b.json", other.dump()}});
  REQUIRE(collection.reports().size() == 1);
  REQUIRE(collection.reports()[0].warnings.size() == 1);
  CHECK(collection.reports()[0].warnings[0].code == rpt::WarningCode::conflicting_duplicate);
}

TEST_CASE("E15: no text of a report becomes markup of the page") {
  CHECK(golden_outcome("E15") == "escaped");
  const std::string text = R"(<script>alert("'&")</script><img src=x onerror='1'>)";
  const std::string page = reports_as_html(
      collected({{"<script>.json", hostile_report(text).dump()}, {"x", "<script>"}}));
  CHECK_FALSE(contains(page, "<script"));
  CHECK_FALSE(contains(page, "<img"));
  CHECK(contains(page, "&lt;script&gt;alert(&quot;&#39;&amp;&quot;)&lt;/script&gt;"));
}

TEST_CASE("the page needs nothing from elsewhere and runs nothing") {
  const std::string page = reports_as_html(all_samples());
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK(contains(page, "default-src 'none'"));
  CHECK(contains(page, "<svg class=\"chart\""));
  CHECK(occurrences(page, "<svg class=\"spark\"") == 5);
  CHECK(contains(page, "2026-08-19: 1,820 sessions, 32 failed, 98.24 % ok"));
  for (const char* const part :
       {"<script", "http://", "https://mail", "src=", "href=", "url(", "@import"}) {
    CAPTURE(part);
    CHECK_FALSE(contains(page, part));
  }
  for (const char* const tag : {"section", "table", "svg", "details", "ul", "dl", "g", "div"}) {
    CAPTURE(tag);
    const std::string name = tag;
    CHECK(occurrences(page, "<" + name + ">") + occurrences(page, "<" + name + " ") ==
          occurrences(page, "</" + name + ">"));
  }
}

TEST_CASE("the terminal is not driven by what reports say") {
  const std::string text = reports_as_text(
      collected({{"a", hostile_report("\x1b[2J\r\nx").dump()}}), ReportColour::none);
  CHECK_FALSE(contains(text, "\x1b"));
  CHECK_FALSE(contains(text, "\r"));
  CHECK(contains(text, "\\x1b[2J"));
  CHECK(contains(reports_as_text(all_samples(), ReportColour::ansi), "\x1b[31m"));
}

TEST_CASE("CSV has a row per failure and one per policy, with the domain in each") {
  const std::string csv = reports_as_csv(all_samples());
  CHECK(csv.starts_with("row,domain,reporter,"));
  CHECK(occurrences(csv, "\r\nfailure,rcpt.example,") == 7);
  CHECK(occurrences(csv, "\r\ntotal,rcpt.example,") == 7);
  CHECK(occurrences(csv, "\n") == 15);
  CHECK(contains(
      csv,
      ",certificate-expired,,mx1.rcpt.example,,203.0.113.10,,,,14,google.eml,not-checked\r\n"));
}

TEST_CASE("no cell of CSV is a formula, or leaves its cell") {
  struct Row {
    std::string text, cell;
  };
  const std::vector<Row> rows{
      {"", ""},
      {"mx.example", "mx.example"},
      {"=1+1", "'=1+1"},
      {"+1", "'+1"},
      {"-1", "'-1"},
      {"@SUM(A1)", "'@SUM(A1)"},
      {"  =1", "'  =1"},
      {"\t=1", "\\x09=1"},
      {"a,b", "\"a,b\""},
      {"say \"hi\"", "\"say \"\"hi\"\"\""},
      {"=\"a\",b", "\"'=\"\"a\"\",b\""},
      {"two\r\nlines", "two\\x0d\\x0alines"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(csv_cell(row.text) == row.cell);
  }
  const std::string csv =
      reports_as_csv(collected({{"=x.json", hostile_report("=cmd|' /C calc'!A0").dump()}}));
  CHECK_FALSE(contains(csv, ",=cmd"));
  CHECK_FALSE(contains(csv, ",=x"));
  CHECK(contains(csv, ",'=cmd"));
}

TEST_CASE("JSON has each report in the RFC's form, with source and warnings") {
  const auto json = reports_as_json(collected({{"a.json", sound_report().dump()},
                                               {"b.json", support::sample_report("stalwart.json")},
                                               {"c.txt", "hello"}}));
  REQUIRE(json["reports"].size() == 2);
  CHECK(nlohmann::json::parse(json["reports"][0]["report"].dump()) == sound_report());
  CHECK(json["reports"][0]["warnings"].empty());
  CHECK(json["reports"][1]["warnings"][0]["code"] == "end-next-midnight");
  CHECK(json["reports"][1]["domain"] == "rcpt.example");
  REQUIRE(json["unreadable"].size() == 1);
  CHECK(json["unreadable"][0]["source"] == "c.txt");
  CHECK(json["unreadable"][0]["code"] == "no-report");
}

TEST_CASE("what octets are is told by how they begin") {
  CHECK(input_kind("{}") == InputKind::report);
  CHECK(input_kind("\xef\xbb\xbf {}") == InputKind::report);
  CHECK(input_kind(rpt::gzip("x")) == InputKind::report);
  CHECK(input_kind("") == InputKind::report);
  CHECK(input_kind("PK\x03\x04") == InputKind::zip);
  CHECK(input_kind("From a@b.example Thu") == InputKind::mbox);
  CHECK(input_kind("From: a@b.example\n") == InputKind::mail);
}

TEST_CASE("a day of few sessions shows what went well and what did not beside one of very many") {
  const std::chrono::sys_days day{std::chrono::year{2026} / 8 / 20};
  const std::string chart = day_chart({{day, {14, 2}},
                                       {day + std::chrono::days(1), {1'000'000, 1}},
                                       {day + std::chrono::days(2), {0, 1}},
                                       {day + std::chrono::days(3), {1, 0}}});
  CHECK(occurrences(chart, "<rect class=\"ok\"") == 3);
  CHECK(occurrences(chart, "<rect class=\"bad\"") == 3);
}

TEST_CASE("charts show every day of a range, of absurd ranges only days with reports") {
  const std::chrono::sys_days day{std::chrono::year{2026} / 8 / 20};
  DayCounts counts{{day, {1, 0}}, {day + std::chrono::days(3), {0, 5}}};
  DayRange range;
  CHECK(chart_days(counts, range).empty());
  CHECK(day_chart({}).empty());
  range.add(day);
  range.add(day + std::chrono::days(3));
  const auto days = chart_days(counts, range);
  REQUIRE(days.size() == 4);
  CHECK(points(counts, days)[1].counts.total() == 0);
  CHECK(points(counts, days)[3].counts.failed == 5);
  range.add(std::chrono::sys_days{std::chrono::year{9999} / 1 / 1});
  CHECK(chart_days(counts, range).size() == 2);
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1234567) == "1,234,567");
}
