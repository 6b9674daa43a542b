#include <algorithm>
#include <sstream>

#include <doctest/doctest.h>

#include "rpt/report.h"
#include "tests/rpt/report_fixture.h"

namespace {

using fixture::failure;
using fixture::report;
using rpt::ResultType;

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the text part says period, sessions, failures by kind and their remedy") {
  rpt::CountedFailure mismatch = failure(ResultType::certificate_host_mismatch, 4);
  mismatch.failure.receiving_mx_hostname = "mx2.rcpt.example";
  mismatch.failure.reason_code = "X509_V_ERR_HOSTNAME_MISMATCH";
  const std::string text = rpt::summary_text(
      report({{fixture::kSts,
               5,
               11,
               {failure(ResultType::certificate_expired, 9, "203.0.113.10"),
                failure(ResultType::certificate_expired, 2, "203.0.113.11"), mismatch}}}));
  INFO(text);
  CHECK(text == R"(TLS report for rcpt.example

Sender:   Sender Org
Contact:  tls-reports@sender.example
Period:   2026-08-20 00:00:00 to 2026-08-20 23:59:59 UTC
Report:   id@sender.example
Sessions: 5 succeeded, 11 failed

This is an automatic report on how mail to this domain could be protected in
transit (SMTP TLS Reporting, RFC 8460). A session succeeded if its TLS was
what the policy asks for. The attached file says the same to programs.

Some sessions failed; below is why, and the usual remedy.

MTA-STS policy of rcpt.example, mode enforce
  5 sessions succeeded, 11 failed.

  11 x certificate-expired
    A certificate of the server's chain had expired.
    Servers: mx1.rcpt.example (11)
    Reasons: reason-1 (11)
    Remedy: Renew it, have renewal done by a program, and reload the mail
    server afterwards.

  4 x certificate-host-mismatch
    The certificate does not name the server that was asked for.
    Servers: mx2.rcpt.example (4)
    Reasons: X509_V_ERR_HOSTNAME_MISMATCH (4)
    Remedy: Install a certificate whose subject alternative names have the
    MX host name.

  A session can fail for more than one reason.
)");
}

TEST_CASE("a report of good sessions says that nothing needs to be done") {
  const std::string text = rpt::summary_text(
      report({{{rpt::PolicyType::tlsa, {"3 1 1 AA"}, "mx1.rcpt.example", {}}, 1, 0, {}},
              {{rpt::PolicyType::no_policy_found, {}, "rcpt.example", {}}, 3, 0, {}}}));
  INFO(text);
  CHECK(contains(text, "Sessions: 4 succeeded, 0 failed\n"));
  CHECK(contains(text, "\nAll went well; there is nothing to do.\n"));
  CHECK(contains(text,
                 "\nDANE, TLSA records of mx1.rcpt.example\n"
                 "  1 session succeeded, 0 failed.\n"));
  CHECK(contains(text, "\nNo policy of rcpt.example, neither DANE nor MTA-STS\n"));
  CHECK_FALSE(contains(text, "Remedy"));
}

TEST_CASE("whatever others chose, the text part is lines of printable ASCII") {
  rpt::CountedFailure evil = failure(ResultType::validation_failure, 1);
  evil.failure.receiving_mx_hostname = "mx\r\n.\r\nQUIT\x1B[2J\xC3\xBC";
  evil.failure.reason_code = std::string(10'000, 'x') + "\n";
  rpt::PolicyDescription policy = fixture::kSts;
  policy.domain = "d\nTo: v@y.example";
  policy.strings = {"mode: \x07\n"};
  rpt::Report hostile = report({{policy, 0, 1, {evil}}});
  hostile.organization =
      "\xC3\x9C"
      "ber\nBcc: v@y.example";
  const std::string text = rpt::summary_text(hostile);
  INFO(text);
  CHECK(std::all_of(text.begin(), text.end(),
                    [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
  CHECK(contains(text, "Sender:   ??ber?Bcc: v@y.example\n"));
  CHECK(contains(text, "MTA-STS policy of d?To: v@y.example, mode ??\n"));
  CHECK(contains(text, "    Reasons: " + std::string(53, 'x') + "... (1)\n"));
  CHECK_FALSE(contains(text, "\n.\n"));
  CHECK(text.size() < 2000);
}

TEST_CASE("lines are at most 78 characters, lists and policies are bounded") {
  rpt::Report large = report();
  for (int i = 0; i < 100; ++i) {
    rpt::PolicySummary summary{fixture::kSts, 1, 1000, {}};
    for (int k = 0; k < 100; ++k) {
      const auto type = static_cast<ResultType>(k % 11);
      summary.failures.push_back(failure(type, 1));
      summary.failures.back().failure.receiving_mx_hostname =
          "mx" + std::to_string(k) + ".rcpt.example";
    }
    large.policies.push_back(summary);
  }
  std::istringstream lines{rpt::summary_text(large)};
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    CAPTURE(line);
    CHECK(line.size() <= 78);
    CHECK_FALSE(line.ends_with(' '));
  }
  CHECK(count < 3000);
  CHECK(contains(lines.str(), "The attached file has 80 further elements.\n"));
  CHECK(contains(lines.str(), " and 4 more\n"));
}

TEST_CASE("a session with several causes is explained where the counts differ") {
  const std::string text =
      rpt::summary_text(report({{fixture::kSts,
                                 0,
                                 1,
                                 {failure(ResultType::certificate_expired, 1),
                                  failure(ResultType::certificate_host_mismatch, 1)}}}));
  CHECK(contains(text, "\n  A session can fail for more than one reason.\n"));
}

TEST_CASE("every result type is explained, each in its own words") {
  std::vector<std::string_view> meanings;
  for (int i = 0; i <= static_cast<int>(ResultType::sts_webpki_invalid); ++i) {
    const rpt::Explanation words = rpt::explain(static_cast<ResultType>(i));
    CHECK(words.meaning.ends_with('.'));
    CHECK(words.remedy.ends_with('.'));
    CHECK(std::count(meanings.begin(), meanings.end(), words.meaning) == 0);
    meanings.push_back(words.meaning);
  }
}
