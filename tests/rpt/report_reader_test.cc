#include "rpt/report_reader.h"

#include <functional>
#include <map>
#include <set>

#include <doctest/doctest.h>
#include <yaml-cpp/yaml.h>

#include "rpt/report.h"
#include "tests/support/received_report.h"

namespace {

using Json = nlohmann::json;
using rpt::gzip;
using rpt::ReadFault;
using support::sample_report;
using support::sound_report;
using Codes = std::multiset<std::string>;

Codes codes(const rpt::Reading& reading) {
  Codes found;
  for (const auto& warning : reading.warnings) {
    found.emplace(rpt::name(warning.code));
  }
  return found;
}

rpt::Reading read(std::string_view octets) {
  auto reading = rpt::read_report(octets);
  if (!reading) {
    FAIL("not read: ", reading.error().reason);
  }
  return *reading;
}

std::string fault(std::string_view octets, const rpt::ReaderLimits& limits = {}) {
  const auto reading = rpt::read_report(octets, limits);
  return reading ? "read" : std::string(rpt::name(reading.error().fault));
}

/// Changes a sound report; returns its octets.
std::string spoiled(const std::function<void(Json& report, Json& policy, Json& detail)>& spoil) {
  Json report = sound_report();
  Json& policy = report["policies"][0];
  spoil(report, policy, policy["failure-details"][0]);
  return report.dump();
}

struct GoldenInput {
  std::string octets;
  rpt::ReportMetadata metadata;
};

/// What a golden case describes in words.
GoldenInput golden_input(const std::string& id) {
  using Spoil = std::function<void(Json&, Json&, Json&)>;
  static const std::map<std::string, Spoil> kSpoilers{
      {"E01",
       [](Json& report, Json& /*policy*/, Json& /*detail*/) {
         report["date-range"]["start-datetime"] = "2023-01-10T00:00:00";
       }},
      {"E03",
       [](Json& report, Json& /*policy*/, Json& /*detail*/) { report["contact-info"] = nullptr; }},
      {"E04",
       [](Json& /*report*/, Json& /*policy*/, Json& detail) { detail["sending-mta-ip"] = ""; }},
      {"E06", [](Json& /*report*/, Json& policy,
                 Json& /*detail*/) { policy["policy"]["policy-string"] = "a;b"; }},
      {"E07",
       [](Json& /*report*/, Json& policy, Json& /*detail*/) {
         policy.erase("failure-details");
         policy["summary"]["total-failure-session-count"] = 0;
       }},
      {"E09", [](Json& /*report*/, Json& /*policy*/,
                 Json& detail) { detail["failed-session-count"] = 2; }},
      {"E10", [](Json& /*report*/, Json& /*policy*/,
                 Json& detail) { detail["result-type"] = "new-kind"; }},
      {"E13", [](Json& /*report*/, Json& /*policy*/, Json& /*detail*/) {}},
      {"E18", [](Json& /*report*/, Json& /*policy*/, Json& /*detail*/) {}},
  };
  GoldenInput input{spoiled(kSpoilers.at(id)), {}};
  if (id == "E13") {
    input.metadata.domain = "other.example";
  } else if (id == "E18") {
    input.octets.insert(0, "\xef\xbb\xbf");
  }
  return input;
}

}  // namespace

TEST_CASE("golden cases of group E: what is odd is warned of and still counted") {
  const YAML::Node file = YAML::LoadFile(STSRELAY_TEST_DATA "/tlsrpt-cases.yaml");
  REQUIRE(file["E"].size() == 12);
  for (const YAML::Node& golden : file["E"]) {
    const auto id = golden["id"].as<std::string>();
    if (!golden["warn"]) {
      continue;  // E12 is below; E15 and E16 are about views
    }
    CAPTURE(id);
    const auto input = golden_input(id);
    auto reading = read(input.octets);
    rpt::cross_check(reading, input.metadata);
    const auto expected = golden["warn"].as<std::vector<std::string>>();
    CHECK(codes(reading) == Codes(expected.begin(), expected.end()));
    REQUIRE(reading.report.policies.size() == 1);
    CHECK(reading.report.policies[0].successful_sessions == 9);
    CHECK(reading.report.policies[0].failed_sessions == (id == "E07" ? 0 : 1));
    CHECK(rpt::report_domain(reading.report, input.metadata) == "rcpt.example");
  }
}

TEST_CASE("E12: gzip bombs are too large, by size and by ratio") {
  CHECK(fault(gzip(std::string(std::size_t{30} << 20U, ' '))) == "too-large");
  const std::string small = gzip(std::string(std::size_t{2} << 20U, ' '));
  CHECK(fault(small) == "too-large");
  CHECK(fault(small, {.ratio = 2000}) == "empty");
  std::string members;
  for (int i = 0; i < 40; ++i) {
    members += gzip(std::string(std::size_t{1} << 20U, ' '));
  }
  CHECK(fault(members, {.ratio = 2000}) == "too-large");
}

TEST_CASE("a report in order is read to the last field, without warnings") {
  const auto reading = read(gzip(sound_report().dump()));
  CHECK(codes(reading).empty());
  CHECK(Json::parse(rpt::normalized_json(reading.report)) == sound_report());
  CHECK(reading.report.start.at == std::chrono::sys_days(std::chrono::year{2026} / 8 / 20));
  CHECK(rpt::submitter(reading.report) == "sender.example");
}

TEST_CASE("what cannot be a report says why") {
  const std::string sound = sound_report().dump();
  const std::string packed = gzip(sound);
  std::string damaged = packed;
  damaged[packed.size() / 2] = static_cast<char>(~damaged[packed.size() / 2]);
  std::string deep(33, '[');
  struct Row {
    std::string what, octets, fault;
  };
  const std::vector<Row> rows{
      {"nothing", "", "empty"},
      {"blanks", " \r\n", "empty"},
      {"a BOM", "\xef\xbb\xbf", "empty"},
      {"text", "hello", "not-json"},
      {"cut JSON", sound.substr(0, sound.size() - 1), "truncated"},
      {"bad JSON", R"({"policies": nope})", "not-json"},
      {"other JSON", R"({"a": 1})", "not-a-report"},
      {"a list", "[]", "not-a-report"},
      {"a number in front", "1", "not-a-report"},
      {"cut gzip", packed.substr(0, packed.size() - 9), "truncated"},
      {"a gzip header", packed.substr(0, 10), "truncated"},
      {"damaged gzip", damaged, "damaged"},
      {"depth", deep + std::string(33, ']'), "too-deep"},
      {"depth without end", std::string(1'000'000, '['), "too-deep"},
      {"brackets in strings are no depth", R"({"policies": [], "x": ")" + deep + R"("})", "read"},
      {"too long", std::string((std::size_t{20} << 20U) + 1, ' '), "too-large"},
      {"too many values", "[" + std::string(2'000'001, ',') + "]", "too-large"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(fault(row.octets) == row.fault);
  }
  CHECK(fault(packed, {.compressed = packed.size() - 1}) == "too-large");
}

TEST_CASE("each odd form is warned of by its code and nothing is lost") {
  struct Row {
    std::string code, where;
    std::function<void(Json&, Json&, Json&)> spoil;
  };
  const std::vector<Row> rows{
      {"end-next-midnight", "date-range.end-datetime",
       [](Json& r, Json&, Json&) { r["date-range"]["end-datetime"] = "2026-08-21T00:00:00Z"; }},
      {"bad-date", "date-range.end-datetime",
       [](Json& r, Json&, Json&) { r["date-range"]["end-datetime"] = "yesterday"; }},
      {"mx-host-not-array", "policies[0].policy.mx-host",
       [](Json&, Json& p, Json&) { p["policy"]["mx-host"] = "mx1.rcpt.example"; }},
      {"count-not-number", "policies[0].summary.total-successful-session-count",
       [](Json&, Json& p, Json&) { p["summary"]["total-successful-session-count"] = "9"; }},
      {"count-not-number", "policies[0].summary.total-successful-session-count",
       [](Json&, Json& p, Json&) { p["summary"]["total-successful-session-count"] = 9.0; }},
      {"unknown-policy-type", "policies[0].policy.policy-type",
       [](Json&, Json& p, Json&) { p["policy"]["policy-type"] = "future"; }},
      {"missing-field", "policies[0].policy.policy-domain",
       [](Json&, Json& p, Json&) { p["policy"].erase("policy-domain"); }},
      {"missing-field", "policies[0].failure-details",
       [](Json&, Json& p, Json&) { p.erase("failure-details"); }},
      {"missing-field", "policies[0].summary.total-failure-session-count",
       [](Json&, Json& p, Json&) { p["summary"].erase("total-failure-session-count"); }},
      {"missing-field", "organization-name",
       [](Json& r, Json&, Json&) { r.erase("organization-name"); }},
      {"id-without-at", "report-id", [](Json& r, Json&, Json&) { r["report-id"] = "1"; }},
      {"wrong-type", "report-id", [](Json& r, Json&, Json&) { r["report-id"] = {"1@x"}; }},
      {"null-field", "policies[0].policy.policy-string",
       [](Json&, Json& p, Json&) { p["policy"]["policy-string"] = nullptr; }},
      {"not-an-array", "policies[0].failure-details",
       [](Json&, Json& p, Json& d) {
         const Json only = d;
         p["failure-details"] = only;
       }},
      {"not-an-array", "policies",
       [](Json& r, Json& p, Json&) {
         const Json only = p;
         r["policies"] = only;
       }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.where);
    const auto reading = read(spoiled(row.spoil));
    const std::string where =
        row.code == "not-an-array" && row.where == "policies" ? "policies" : row.where;
    CHECK(codes(reading) == Codes{row.code});
    REQUIRE(!reading.warnings.empty());
    CHECK(reading.warnings[0].where == where);
    REQUIRE(reading.report.policies.size() == 1);
    CHECK(reading.report.policies[0].successful_sessions == 9);
    CHECK(reading.report.policies[0].failed_sessions == 1);
    CHECK(rpt::report_domain(reading.report, {"rcpt.example", "", ""}) == "rcpt.example");
  }
}

TEST_CASE("counts that no session count can be are warned of, and never wrap round") {
  struct Row {
    Json count;
    std::uint64_t read;
  };
  constexpr std::uint64_t kMax = std::uint64_t{1} << 53U;
  const std::vector<Row> rows{
      {-1, 0},
      {"many", 0},
      {true, 0},
      {1e300, kMax},
      {kMax + 1, kMax},
      {UINT64_MAX, kMax},
      {"18446744073709551615", kMax},
      {2.7, 2},
      {Json::array(), 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.count.dump());
    const auto reading = read(spoiled([&](Json&, Json& policy, Json&) {
      policy["summary"]["total-successful-session-count"] = row.count;
    }));
    CHECK(codes(reading) == Codes{"count-not-number"});
    CHECK(reading.report.policies[0].successful_sessions == row.read);
  }
  CHECK(rpt::plus(UINT64_MAX, 1) == UINT64_MAX);
}

TEST_CASE("moments are understood in every form that reports use") {
  const auto noon =
      std::chrono::sys_days(std::chrono::year{2026} / 8 / 20) + std::chrono::hours(12);
  struct Row {
    std::string text, code;
    bool understood;
  };
  const std::vector<Row> rows{
      {"2026-08-20T12:00:00Z", "", true},
      {"2026-08-20T12:00:00.123Z", "", true},
      {"2026-08-20t14:00:00+02:00", "", true},
      {"2026-08-20T10:30:00-0130", "", true},
      {"2026-08-20 12:00:00", "date-no-zone", true},
      {"2026-08-20T12:00:00", "date-no-zone", true},
      {"2026-08-20T12:00", "bad-date", false},
      {"2026-02-30T12:00:00Z", "bad-date", false},
      {"2026-08-20T12:61:00Z", "bad-date", false},
      {"2026-08-20T12:00:00 GMT", "bad-date", false},
      {"20 Aug 2026", "bad-date", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto reading = read(spoiled(
        [&](Json& report, Json&, Json&) { report["date-range"]["start-datetime"] = row.text; }));
    CHECK(codes(reading) == (row.code.empty() ? Codes{} : Codes{row.code}));
    CHECK(reading.report.start.text == row.text);
    CHECK(reading.report.start.at.has_value() == row.understood);
    if (row.understood) {
      CHECK(*reading.report.start.at == noon);
    }
  }
}

TEST_CASE("what is no UTF-8 is replaced, what comes twice or behind is told") {
  std::string octets = sound_report().dump();
  octets.replace(octets.find("\"Sender\""), 8, "\"S\xff\xc3\xa9\xe2\x82\"");
  auto reading = read(octets);
  CHECK(codes(reading) == Codes{"invalid-utf8"});
  CHECK(reading.report.organization == "S\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");

  reading = read(sound_report().dump() + "\n{}");
  CHECK(codes(reading) == Codes{"trailing-data"});
  CHECK(codes(read(sound_report().dump() + "\r\n")).empty());
  CHECK(codes(read(gzip(sound_report().dump()) + "\r\n")).empty());
  CHECK(codes(read(gzip(sound_report().dump()) + "x")) == Codes{"trailing-data"});

  octets = sound_report().dump();
  octets.insert(1, R"("report-id": "0@sender.example",)");
  reading = read(octets);
  CHECK(codes(reading) == Codes{"duplicate-key"});
  CHECK(reading.report.id == "1@sender.example");
}

TEST_CASE("the reports of the field are read, with what is known to be odd about each") {
  struct Row {
    std::string file;
    Codes codes;
    std::uint64_t successful, failed;
  };
  const std::vector<Row> rows{
      {"microsoft.json.gz", {"date-no-zone", "date-no-zone", "id-without-at"}, 608, 12},
      {"mailru.json", {"end-next-midnight", "detail-sum-exceeds-total"}, 40, 3},
      {"stalwart.json",
       {"end-next-midnight", "null-field", "null-field", "null-field", "null-field",
        "id-without-at"},
       5,
       1},
      {"postfix.json", {"id-without-at", "missing-field"}, 9, 1},
  };
  for (const Row& row : rows) {
    CAPTURE(row.file);
    const auto reading = read(sample_report(row.file));
    CHECK(codes(reading) == row.codes);
    std::uint64_t successful = 0;
    std::uint64_t failed = 0;
    for (const auto& policy : reading.report.policies) {
      successful += policy.successful_sessions;
      failed += policy.failed_sessions;
    }
    CHECK(successful == row.successful);
    CHECK(failed == row.failed);
    CHECK(rpt::report_domain(reading.report) == "rcpt.example");
  }
}

TEST_CASE("what mail and file name say is compared with the report, which wins") {
  struct Row {
    rpt::ReportMetadata metadata;
    std::vector<std::string> where;
  };
  const std::vector<Row> rows{
      {{"", "", ""}, {}},
      {{"RCPT.example.", "Sender.Example",
        "sender.example!rcpt.example!1787184000!1787270399.json.gz"},
       {}},
      {{"", "", "sender.example!rcpt.example!1787184000!1787270400!001.json.gz"}, {}},
      {{"", "", "some.json"}, {}},
      {{"a.example", "b.example", ""}, {"TLS-Report-Domain", "TLS-Report-Submitter"}},
      {{"", "", "x.example!y.example!1!2.json"},
       {"file name, submitter", "file name, domain", "file name, date range"}},
      {{"", "", "sender.example!rcpt.example!1787184002!1787270399.json"},
       {"file name, date range"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.metadata.file_name);
    auto reading = read(sound_report().dump());
    rpt::cross_check(reading, row.metadata);
    std::vector<std::string> where;
    for (const auto& warning : reading.warnings) {
      CHECK(warning.code == rpt::WarningCode::metadata_mismatch);
      where.push_back(warning.where);
    }
    CHECK(where == row.where);
    CHECK(rpt::report_domain(reading.report, row.metadata) == "rcpt.example");
  }
}

TEST_CASE("a tlsa policy's domain is the TLSA base domain: the mail says whose report it is") {
  const auto reading = read(spoiled([](Json&, Json& policy, Json&) {
    policy["policy"]["policy-type"] = "tlsa";
    policy["policy"]["policy-domain"] = "mx.provider.example";
  }));
  CHECK(rpt::report_domain(reading.report) == "mx.provider.example");
  CHECK(rpt::report_domain(reading.report, {"rcpt.example", "", ""}) == "rcpt.example");
  CHECK(rpt::report_domain(reading.report, {"", "", "s.example!rcpt.example!1!2.json"}) ==
        "rcpt.example");
}

TEST_CASE("copies are known by submitter and id, without id by all they say") {
  const auto identity = [](const std::function<void(Json&, Json&, Json&)>& spoil) {
    return rpt::identity(read(spoiled(spoil)).report);
  };
  const auto count = [](int n, const char* id) {
    return [n, id](Json& report, Json& policy, Json&) {
      report["report-id"] = id;
      policy["summary"]["total-successful-session-count"] = n;
    };
  };
  CHECK(identity(count(1, "a@x")) == identity(count(2, "a@x")));
  CHECK(identity(count(1, "a@x")) != identity(count(1, "b@x")));
  CHECK(identity(count(1, "")) == identity(count(1, "")));
  CHECK(identity(count(1, "")) != identity(count(2, "")));
  CHECK(identity(count(1, "a@x")) != identity([](Json& report, Json&, Json&) {
          report["report-id"] = "a@x";
          report["contact-info"] = "tls@other.example";
        }));
}
