#include "relay/cli/report_mime.h"

#include <doctest/doctest.h>

#include "tests/support/received_report.h"

namespace {

using namespace relay::cli;

constexpr const char* kJson = R"({"policies":[]})";

std::string part(const std::string& header, const std::string& body) {
  return "--b\n" + header + "\n\n" + body + "\n";
}

std::string multipart(const std::string& parts, const std::string& header = "") {
  return header + "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n" + parts +
         "--b--\n";
}

}  // namespace

TEST_CASE("the report of a mail is found however it is attached") {
  struct Row {
    std::string what, message, file_name;
  };
  const std::vector<Row> rows{
      {"by type",
       multipart(part("Content-Type: text/plain", "{not this}") +
                 part("Content-Type: application/tlsrpt+json", kJson)),
       ""},
      {"as the whole mail", std::string("Content-Type: application/tlsrpt+json\n\n") + kJson, ""},
      {"by name",
       multipart(part("Content-Type: application/octet-stream; name=\"a!b!1!2.json\"", kJson)),
       "a!b!1!2.json"},
      {"by a name in pieces (RFC 2231)",
       multipart(
           part("Content-Type: application/octet-stream;\n name*0=\"a!b!1!2.\";\n name*1=\"json\"",
                kJson)),
       "a!b!1!2.json"},
      {"by how it begins", multipart(part("Content-Type: application/octet-stream", kJson)), ""},
      {"quoted-printable",
       multipart(part("Content-Type: application/tlsrpt+json\n"
                      "Content-Transfer-Encoding: quoted-printable",
                      "{\"policies\"=3A[]=\n}")),
       ""},
      {"base64",
       multipart(part("Content-Type: application/tlsrpt+json\n"
                      "Content-Transfer-Encoding: base64",
                      "eyJwb2xpY2llcyI6W119")),
       ""},
      {"in a multipart of a multipart",
       "Content-Type: multipart/signed; boundary=c\n\n--c\n" +
           multipart(part("Content-Type: application/tlsrpt+json", kJson)) + "--c--\n",
       ""},
      {"with CRLF", "Content-Type: application/tlsrpt+json\r\n\r\n" + std::string(kJson), ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const auto content = reports_in_mail(row.message);
    CHECK(content.problems.empty());
    REQUIRE(content.reports.size() == 1);
    CHECK(content.reports[0].octets.substr(0, 15) == kJson);
    CHECK(content.reports[0].metadata.file_name == row.file_name);
  }
}

TEST_CASE("mail without a report has none") {
  for (const std::string message : {"", "\n", "no mail at all", "Subject: x\n\nhello\n",
                                    "Content-Type: multipart/mixed; boundary=b\n\n--b--\n",
                                    "Content-Type: image/png\n\n\x89PNG"}) {
    CAPTURE(message);
    CHECK(reports_in_mail(message).reports.empty());
  }
}

TEST_CASE("a report says whose it is in its mail's header, a forwarded one in its own") {
  const std::string inner =
      "TLS-Report-Domain: rcpt.example\nTLS-Report-Submitter: sender.example\n"
      "Content-Type: application/tlsrpt+json\n\n" +
      std::string(kJson) + "\n";
  auto content = reports_in_mail(inner);
  REQUIRE(content.reports.size() == 1);
  CHECK(content.reports[0].metadata.domain == "rcpt.example");
  CHECK(content.reports[0].metadata.submitter == "sender.example");
  content = reports_in_mail(multipart(part("Content-Type: text/plain", "see below") +
                                          part("Content-Type: message/rfc822", inner) +
                                          part("Content-Type: message/rfc822", inner),
                                      "TLS-Report-Domain: forwarder.example\n"));
  REQUIRE(content.reports.size() == 2);
  CHECK(content.reports[0].metadata.domain == "rcpt.example");
  CHECK(content.reports[1].metadata.submitter == "sender.example");
}

TEST_CASE("messages in messages and parts without end are not followed") {
  std::string nested = std::string("Content-Type: application/tlsrpt+json\n\n") + kJson;
  for (int i = 0; i < 30; ++i) {
    nested = "Content-Type: message/rfc822\n\n" + nested;
  }
  auto content = reports_in_mail(nested);
  CHECK(content.reports.empty());
  CHECK(content.problems.size() == 1);
  std::string parts;
  for (int i = 0; i < 1100; ++i) {
    parts += part("Content-Type: text/plain", "x");
  }
  content = reports_in_mail(multipart(parts));
  CHECK(content.reports.empty());
  CHECK(content.problems.size() == 1);
  content = reports_in_mail(multipart(part("Content-Type: application/tlsrpt+json", kJson)),
                            {.part_octets = 5});
  CHECK(content.reports.empty());
  CHECK(content.problems.size() == 1);
}

TEST_CASE("an mbox is read message by message") {
  const std::string message =
      "Content-Type: application/tlsrpt+json\n\n" + std::string(kJson) + "\n\n";
  std::string mbox;
  for (int i = 0; i < 3; ++i) {
    mbox += "From sender@sender.example Thu Aug 20 10:11:12 2026\n";
    mbox += i == 1 ? "Subject: no report\n\n>From here on, nothing.\n\n" : message;
  }
  std::vector<std::size_t> found;
  read_mbox(mbox, [&](const MailContent& content) { found.push_back(content.reports.size()); });
  CHECK(found == std::vector<std::size_t>{1, 0, 1});
}

TEST_CASE("a report as Google mails it is found with its name and header") {
  const auto content = reports_in_mail(support::sample_report("google.eml"));
  REQUIRE(content.reports.size() == 1);
  const auto& found = content.reports[0];
  CHECK(found.metadata.domain == "rcpt.example");
  CHECK(found.metadata.submitter == "google.com");
  CHECK(found.metadata.file_name == "google.com!rcpt.example!1787097600!1787183999!001.json.gz");
  auto reading = rpt::read_report(found.octets);
  REQUIRE(reading);
  rpt::cross_check(*reading, found.metadata);
  for (const auto& warning : reading->warnings) {
    CHECK(warning.code != rpt::WarningCode::metadata_mismatch);
  }
}
