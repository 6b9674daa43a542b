#include "relay/cli/bounced_report.h"

#include <string>

#include <doctest/doctest.h>

namespace {

using relay::cli::bounced_report;
using relay::cli::bounced_reports;

const std::string kStatus =
    "Reporting-MTA: dns; mx.rcpt.example\n"
    "\n"
    "Original-Recipient: rfc822;tls@rcpt.example\n"
    "Final-Recipient: rfc822; reports@inner.example\n"
    "Action: failed\n"
    "Status: 5.2.2\n"
    "Diagnostic-Code: smtp; 552 5.2.2\n"
    "  mailbox full\n";
const std::string kReturned =
    "From: tls@sender.example\n"
    "Message-ID: <20260820.0a1b.3KX0W7QZ2H@sender.example>\n"
    "TLS-Report-Domain: rcpt.example\n"
    "TLS-Report-Submitter: sender.example\n";

std::string notice(const std::string& status, const std::string& returned,
                   const std::string& type = "message/rfc822",
                   const std::string& whole = "multipart/report; report-type=delivery-status") {
  return "From: MAILER-DAEMON@mx.rcpt.example\nMIME-Version: 1.0\nContent-Type: " + whole +
         "; boundary=b\n\n--b\n\nIt could not be delivered.\n--b\n"
         "Content-Type: message/delivery-status\n\n" +
         status + "\n--b\nContent-Type: " + type + "\n\n" + returned + "\n--b--\n";
}

}  // namespace

TEST_CASE("a bounce of a report says which one, to whom and why, with the mail or its header") {
  for (const std::string type : {"message/rfc822", "text/rfc822-headers"}) {
    CAPTURE(type);
    const auto bounced = bounced_report(notice(kStatus, kReturned, type));
    REQUIRE(bounced);
    CHECK(bounced->domain == "rcpt.example");
    CHECK(bounced->message_id == "20260820.0a1b.3KX0W7QZ2H@sender.example");
    CHECK(bounced->recipient == "tls@rcpt.example");
    CHECK(bounced->reason == "5.2.2 552 5.2.2 mailbox full");
  }
}

TEST_CASE("without an original recipient the final one counts") {
  std::string status = kStatus;
  status.erase(status.find("Original-Recipient"),
               status.find("Final-Recipient") - status.find("Original-Recipient"));
  const auto bounced = bounced_report(notice(status, kReturned));
  REQUIRE(bounced);
  CHECK(bounced->recipient == "reports@inner.example");
}

TEST_CASE("of a long diagnostic the beginning is kept") {
  std::string status = kStatus;
  status.insert(status.find("mailbox full"), std::string(100'000, 'x'));
  const auto bounced = bounced_report(notice(status, kReturned));
  REQUIRE(bounced);
  CHECK(bounced->reason.size() == 512);
  CHECK(bounced->reason.starts_with("5.2.2 552 5.2.2 xxx"));
}

TEST_CASE("what is no bounce of a report is none") {
  std::string delayed = kStatus;
  delayed.replace(delayed.find("failed"), 6, "delayed");
  const std::string other = "Message-ID: <1@sender.example>\nSubject: hello\n";
  const std::string nameless = "TLS-Report-Domain: rcpt.example\n";
  for (const std::string& message :
       {notice(delayed, kReturned), notice(kStatus, other), notice(kStatus, nameless),
        notice(kStatus, kReturned, "message/rfc822", "multipart/mixed"), notice("", kReturned),
        std::string("Subject: out of office\n\nback on Monday\n"), std::string()}) {
    CAPTURE(message);
    CHECK_FALSE(bounced_report(message));
  }
}

TEST_CASE("an mbox may hold many, and other mail") {
  const std::string marker = "From MAILER-DAEMON Thu Aug 20 00:00:00 2026\n";
  const auto all =
      bounced_reports(marker + notice(kStatus, kReturned) + "\n" + marker +
                      "Subject: hello\n\nworld\n\n" + marker + notice(kStatus, kReturned));
  CHECK(all.size() == 2);
}
