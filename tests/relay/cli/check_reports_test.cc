#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/cli/examined.h"

namespace {

using namespace support;
using Severity = CheckFinding::Severity;

/// example.com, in order but for what is at _smtp._tls.
CheckReport with_records(std::vector<std::string> texts) {
  Examination found = examined(policy_of(policy_text("enforce")));
  found.tls_rpt_record = {texts.empty() ? Answer::absent : Answer::found, std::move(texts), {}};
  return report_on(std::move(found));
}

TEST_CASE("each fault of the record at _smtp._tls has its finding and remedy") {
  struct Row {
    std::vector<std::string> texts;
    const char* code;  // "": none
    const char* severity;
    const char* fault;  // of the JSON; "": null
    int exit_code;
  };
  for (const Row& row : {
           Row{{"v=TLSRPTv1; rua=mailto:a@example.com"}, "", "", "", 0},
           Row{{"v=TLSRPTv1;rua=https://r.example/v1,mailto:a@example.com"}, "", "", "", 0},
           Row{{}, "tls-rpt-absent", "note", "absent", 0},
           Row{{"v=spf1 -all"}, "tls-rpt-absent", "note", "absent", 0},
           Row{{"v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:b@example.com"},
               "tls-rpt-several",
               "warning",
               "several",
               1},
           Row{{"v=TLSRPTv1; ruf=mailto:a@example.com"},
               "tls-rpt-malformed",
               "warning",
               "malformed",
               1},
           Row{{"v=TLSRPTv1; rua=ftp://a.example/"}, "tls-rpt-no-destination", "warning", "", 1},
       }) {
    CAPTURE(row.texts);
    const CheckReport report = with_records(row.texts);
    CHECK(check_exit_code(report.outcome, report.findings) == row.exit_code);
    const Json fault = to_json(report)["tls_rpt_record"]["fault"];
    CHECK((fault.is_null() ? "" : fault.get<std::string>()) == row.fault);
    if (*row.code == '\0') {
      CHECK(report.findings.empty());
      continue;
    }
    REQUIRE_FALSE(report.findings.empty());
    CHECK(report.findings.back().code == row.code);
    CHECK(name(report.findings.back().severity) == row.severity);
    CHECK(report.findings.back().where == "_smtp._tls.example.com");
    CHECK_FALSE(report.findings.back().remedy.empty());
  }
}

TEST_CASE("what is used of the record and what is not is shown, each with its reason") {
  const CheckReport report = with_records(
      {"v=TLSRPTv1; rua=mailto:a@B\u00fccher.example,http://r.example/,https://r.example/v1"});
  const Json json = to_json(report)["tls_rpt_record"];
  CHECK(json["destinations"] ==
        Json::array({"mailto:a@xn--bcher-kva.example", "https://r.example/v1"}));
  REQUIRE(json["skipped"].size() == 1);
  CHECK(json["skipped"][0] == Json{{"uri", "http://r.example/"}, {"reason", "plain-http"}});
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].code == "tls-rpt-uri");
  CHECK(report.findings[0].severity == Severity::warning);
  CHECK(report.findings[0].text == "no report is sent to 'http://r.example/': plain-http");
  CHECK(report.findings[0].remedy == remedy("tls-rpt-plain-http"));
  CHECK(to_text(report, Colour::none)
            .find("    reports to   mailto:a@xn--bcher-kva.example\n"
                  "    reports to   https://r.example/v1\n"
                  "    not used     http://r.example/ (plain-http)\n") != std::string::npos);
}

TEST_CASE("a record that does not count says why where it is shown") {
  const std::string text =
      to_text(with_records({"v=TLSRPTv1; ruf=mailto:a@example.com"}), Colour::none);
  CHECK(text.find("  _smtp._tls     \"v=TLSRPTv1; ruf=mailto:a@example.com\" (no reports: "
                  "malformed)\n") != std::string::npos);
}

TEST_CASE("every reason not to use a URI has a remedy") {
  for (const char* uri :
       {"ftp://a.example/", "http://a.example/", "mailto:", "mailto:a@b@c", "mailto:a@1.2.3.4",
        "mailto:a@x.example%2Cb@x.example", "https://192.0.2.1/", "https://a.example:0/",
        "mailto:%zz@x.example", "postmaster@x.example", "https://u:p@/"}) {
    CAPTURE(uri);
    const CheckReport report =
        with_records({std::string("v=TLSRPTv1; rua=mailto:a@example.com,") + uri});
    REQUIRE(report.findings.size() == 1);
    CHECK(report.findings[0].code == "tls-rpt-uri");
    CHECK_FALSE(report.findings[0].remedy.empty());
    CHECK(report.findings[0].remedy.find("policy host") == std::string::npos);
  }
}

}  // namespace
