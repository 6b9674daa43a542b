#include "rpt/report.h"

#include <array>
#include <map>
#include <set>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include "tests/rpt/golden.h"
#include "tests/rpt/report_fixture.h"

namespace {

using fixture::kDay;
using fixture::report;
using rpt::Encoding;
using rpt::ResultType;

std::string gunzip(std::string compressed) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  std::string octets(std::size_t{16} << 20U, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(compressed.data());
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = reinterpret_cast<Bytef*>(octets.data());
  stream.avail_out = static_cast<uInt>(octets.size());
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  octets.resize(octets.size() - stream.avail_out);
  CHECK(stream.avail_in == 0);
  inflateEnd(&stream);
  return octets;
}

std::string reason_in_json(const std::string& reason) {
  auto failure = fixture::failure(ResultType::validation_failure, 1);
  failure.failure.reason_code = reason;
  const auto json = nlohmann::json::parse(rpt::to_json(report({{fixture::kSts, 0, 1, {failure}}})));
  return json["policies"][0]["failure-details"][0]["failure-reason-code"];
}

}  // namespace

TEST_CASE("T47 to T57: all fields in the order of RFC 8460, compact, unknown ones left out") {
  rpt::CountedFailure early{{ResultType::sts_policy_fetch_error, "", "", "", "", "http-404"}, 2};
  const rpt::PolicyDescription none{rpt::PolicyType::no_policy_found, {}, "rcpt.example", {}};
  CHECK(rpt::to_json(report(
            {{fixture::kSts, 5, 3, {fixture::failure(ResultType::certificate_expired, 3), early}},
             {none, 1, 0, {}}})) ==
        R"({"organization-name":"Sender Org",)"
        R"("date-range":{"start-datetime":"2026-08-20T00:00:00Z",)"
        R"("end-datetime":"2026-08-20T23:59:59Z"},)"
        R"("contact-info":"tls-reports@sender.example","report-id":"id@sender.example",)"
        R"("policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1",)"
        R"("mode: enforce","mx: *.rcpt.example","max_age: 604800"],)"
        R"("policy-domain":"rcpt.example","mx-host":["*.rcpt.example"]},)"
        R"("summary":{"total-successful-session-count":5,"total-failure-session-count":3},)"
        R"("failure-details":[{"result-type":"certificate-expired",)"
        R"("sending-mta-ip":"192.0.2.1","receiving-mx-hostname":"mx1.rcpt.example",)"
        R"("receiving-mx-helo":"mx1.rcpt.example","receiving-ip":"203.0.113.10",)"
        R"("failed-session-count":3,"failure-reason-code":"reason-1"},)"
        R"({"result-type":"sts-policy-fetch-error","failed-session-count":2,)"
        R"("failure-reason-code":"http-404"}]},)"
        R"({"policy":{"policy-type":"no-policy-found","policy-string":[],)"
        R"("policy-domain":"rcpt.example","mx-host":[]},)"
        R"("summary":{"total-successful-session-count":1,"total-failure-session-count":0},)"
        R"("failure-details":[]}]})");
}

TEST_CASE("a report is I-JSON, whatever octets others sent") {
  const std::string r = "\xEF\xBF\xBD";
  for (const auto& [octets, text] : std::map<std::string, std::string>{
           {"plain", "plain"},
           {"\xFF", r},
           {"a\xC3\xBCz", "a\xC3\xBCz"},
           {"\xE2\x82\xAC\xF0\x9F\x90\x98", "\xE2\x82\xAC\xF0\x9F\x90\x98"},
           {"cut \xE2\x82", "cut " + r + r},
           {"\xC3(", r + "("},
           {"overlong \xC0\xAF\xE0\x80\xAF", "overlong " + r + r + r + r + r},
           {"surrogate \xED\xA0\x80", "surrogate " + r + r + r},
           {"beyond \xF4\x90\x80\x80", "beyond " + r + r + r + r},
           {"noncharacter \xEF\xBF\xBF", "noncharacter " + r + r + r},
           {"noncharacter \xEF\xB7\x90", "noncharacter " + r + r + r},
           {"\"\\\r\n\x01", "\"\\\r\n\x01"}}) {
    CAPTURE(octets);
    CHECK(reason_in_json(octets) == text);
  }
  const auto huge = rpt::to_json(report({{fixture::kSts, ~std::uint64_t{0}, 0, {}}}));
  CHECK(huge.find(":9007199254740991,") != std::string::npos);
}

TEST_CASE("D08: the same report gives the same octets, and they are the JSON again") {
  REQUIRE(golden::row("D08"));
  const auto day_report = [] {
    return report({{fixture::kSts, 5, 3, {fixture::failure(ResultType::certificate_expired, 3)}}});
  };
  const std::string json = rpt::to_json(day_report());
  const std::string first = rpt::encoded(json, Encoding::gzip);
  CHECK(first == rpt::encoded(rpt::to_json(day_report()), Encoding::gzip));
  CHECK(gunzip(first) == json);
  // RFC 1952 §2.3: no flags, no time, best compression, unknown system.
  CHECK(first.substr(0, 10) == std::string{"\x1F\x8B\x08\0\0\0\0\0\x02\xFF", 10});
  CHECK(rpt::encoded(json, Encoding::plain) == json);
}

TEST_CASE("gzip takes what is empty and what is larger than its buffers") {
  CHECK(gunzip(rpt::gzip("")).empty());
  std::string noise;
  std::uint32_t state = 1;
  for (int i = 0; i < 300000; ++i) {
    state = state * 1664525U + 1013904223U;
    noise.push_back(static_cast<char>(state >> 24U));
  }
  CHECK(gunzip(rpt::gzip(noise)) == noise);
}

TEST_CASE("D02: the file name with a unique part") {
  const YAML::Node row = golden::row("D02");
  rpt::Report named = report();
  named.contact = "reports@" + row["in"]["submitter"].as<std::string>();
  named.domain = row["in"]["domain"].as<std::string>();
  CHECK(rpt::file_name(named, Encoding::gzip, row["in"]["part"].as<std::string>()) ==
        row["out"].as<std::string>());
}

TEST_CASE("D03: uncompressed, name and media type say so") {
  const YAML::Node row = golden::row("D03");
  CHECK(rpt::file_name(report(), Encoding::plain).ends_with(row["out_ends"].as<std::string>()));
  CHECK(rpt::media_type(Encoding::plain) == row["content-type"].as<std::string>());
  CHECK(rpt::file_name(report(), Encoding::gzip) ==
        "sender.example!rcpt.example!1787184000!1787270399.json.gz");
  CHECK(rpt::media_type(Encoding::gzip) == "application/tlsrpt+gzip");
}

TEST_CASE("the submitter is the domain of the contact") {
  rpt::Report anonymous = report();
  CHECK(rpt::submitter(anonymous) == "sender.example");
  anonymous.contact = "\"a@b\"@sender.example";
  CHECK(rpt::submitter(anonymous) == "sender.example");
  anonymous.contact = "nobody";
  CHECK(rpt::submitter(anonymous).empty());
}

TEST_CASE("T49: equal reports have equal ids, and whatever differs makes another") {
  const std::vector<std::string> one = {"mailto:a@x.example", "https://r.example/"};
  const std::vector<std::string> turned = {"https://r.example/", "mailto:a@x.example"};
  const std::vector<std::string> joined = {"https://r.example/mailto:a@x.example"};
  const auto next = kDay + std::chrono::days{1};
  const std::string id = rpt::report_id({"sender.example", "rcpt.example", kDay, one, ""});
  CHECK(id == rpt::report_id({"sender.example", "rcpt.example", kDay, turned, ""}));
  CHECK(id.starts_with("20260820."));
  CHECK(id.ends_with("@sender.example"));
  CHECK(id.find('@') == 41);
  // Of all releases: who is updated between two tries must not send another report.
  CHECK(id == "20260820.6ccb19b259dfbd38bac04bc20d324c01@sender.example");
  const std::set<std::string> ids = {
      id,
      rpt::report_id({"sender2.example", "rcpt.example", kDay, one, ""}),
      rpt::report_id({"sender.example", "rcpt2.example", kDay, one, ""}),
      rpt::report_id({"sender.example", "rcpt.example", next, one, ""}),
      rpt::report_id({"sender.example", "rcpt.example", kDay, joined, ""}),
      rpt::report_id({"sender.example", "rcpt.example", kDay, {}, ""}),
      rpt::report_id({"sender.example", "rcpt.example", kDay, one, "002"})};
  CHECK(ids.size() == 7);
}
