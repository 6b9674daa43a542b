#include "relay/message/report_mail.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "relay/message/digest.h"
#include "relay/message/dkim_canonical.h"
#include "relay/smtp/ascii.h"

namespace {

using relay::message::base64;
using relay::message::field_name;
using relay::message::message_parts;
using relay::message::MessageParts;
using relay::message::report_mail;
using relay::message::ReportMail;

ReportMail small() {
  ReportMail mail;
  mail.from = "tls-reports@sender.example";
  mail.from_name = "Sender Inc.";
  mail.to = "reports@rcpt.example";
  mail.report_domain = "rcpt.example";
  mail.submitter = "sender.example";
  mail.report_id = "20260820.1@sender.example";
  mail.file_name = "sender.example!rcpt.example!1787184000!1787270399!001.json.gz";
  mail.text = "All went well.\n";
  mail.body = "octets";
  mail.date = std::chrono::sys_days(std::chrono::year(2026) / 8 / 21) + std::chrono::hours(1);
  mail.message_id = "20260820.1.1@sender.example";
  return mail;
}

std::string field(const std::string& message, std::string_view name) {
  const MessageParts parts = message_parts(message);
  std::string found;
  for (const std::string_view one : parts.fields) {
    if (field_name(one) == name) {
      CHECK(found.empty());
      found = one;
    }
  }
  return found;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find("\r\n", at);
    REQUIRE(end != std::string::npos);
    result.push_back(text.substr(at, end - at));
    at = end + 2;
  }
  return result;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("report mail: the whole of a small one") {
  CHECK(report_mail(small()) ==
        "From: \"Sender Inc.\" <tls-reports@sender.example>\r\n"
        "To: <reports@rcpt.example>\r\n"
        "Subject: Report Domain: rcpt.example Submitter: sender.example Report-ID:\r\n"
        " <20260820.1@sender.example>\r\n"
        "Date: Fri, 21 Aug 2026 01:00:00 +0000\r\n"
        "Message-ID: <20260820.1.1@sender.example>\r\n"
        "MIME-Version: 1.0\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "TLS-Required: No\r\n"
        "TLS-Report-Domain: rcpt.example\r\n"
        "TLS-Report-Submitter: sender.example\r\n"
        "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
        "\tboundary=\"=_tlsrpt_81fab87ebf89192b8113c4ca\"\r\n"
        "\r\n"
        "--=_tlsrpt_81fab87ebf89192b8113c4ca\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "All went well.\r\n"
        "\r\n"
        "--=_tlsrpt_81fab87ebf89192b8113c4ca\r\n"
        "Content-Type: application/tlsrpt+gzip\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment;\r\n"
        "\tfilename=\"sender.example!rcpt.example!1787184000!1787270399!001.json.gz\"\r\n"
        "\r\n"
        "b2N0ZXRz\r\n"
        "\r\n"
        "--=_tlsrpt_81fab87ebf89192b8113c4ca--\r\n");
}

TEST_CASE("D05: long names leave the subject unencoded and the file name in one piece") {
  ReportMail mail = small();
  mail.report_domain =
      "a-very-long-label-for-a-domain-name.another-long-label.subdomain.example.com";
  mail.file_name = "sender.example!" + mail.report_domain + "!1787184000!1787270399.json.gz";
  const std::string message = report_mail(mail);
  CHECK_FALSE(contains(message, "=?"));
  CHECK_FALSE(contains(message, "filename*"));
  CHECK(contains(message, "\r\n\tfilename=\"" + mail.file_name + "\"\r\n"));
  CHECK(field(message, "Subject") ==
        "Subject: Report Domain:\r\n " + mail.report_domain +
            "\r\n Submitter: sender.example Report-ID: <20260820.1@sender.example>");
}

TEST_CASE("D06: every header field of a report, once, and exactly two parts") {
  const std::string message = report_mail(small());
  for (const char* name :
       {"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted",
        "TLS-Required", "TLS-Report-Domain", "TLS-Report-Submitter", "Content-Type"}) {
    CHECK_MESSAGE(!field(message, name).empty(), name);
  }
  CHECK(message_parts(message).fields.size() == 11);
  const std::string type = field(message, "Content-Type");
  const std::string boundary = type.substr(type.find("=_"), type.rfind('"') - type.find("=_"));
  std::size_t parts = 0;
  for (const std::string& line : lines(message)) {
    parts += line == "--" + boundary ? 1U : 0U;
  }
  CHECK(parts == 2);
}

TEST_CASE("an uncompressed report says so (RFC 8460 §5.3)") {
  ReportMail mail = small();
  mail.encoding = ReportMail::Encoding::json;
  mail.file_name = "sender.example!rcpt.example!1787184000!1787270399.json";
  const std::string message = report_mail(mail);
  CHECK(contains(message, "\r\nContent-Type: application/tlsrpt+json\r\n"));
  CHECK(contains(message, "1787270399.json\"\r\n"));
}

TEST_CASE("whatever the report and the text hold, the message is ASCII in short CRLF lines") {
  ReportMail mail = small();
  for (int octet = 0; octet < 4096; ++octet) {
    mail.body += static_cast<char>(octet % 256);
  }
  mail.from_name =
      "J\xc3\xb6rgs Gro\xc3\x9f"
      "e Ma\xc3\x9fst\xc3\xa4"
      "be f\xc3\xbcr "
      "\xc3\x9c"
      "berm\xc3\xa4\xc3\x9figkeit, Abteilung f\xc3\xbcr Berichte";
  for (const std::string& text :
       {std::string("J\xc3\xb6rg\n"), std::string(2000, 'x'), std::string("a\0b", 3),
        std::string("a\rb\n"), std::string("\r\r\n"), std::string("\x7f")}) {
    mail.text = text;
    const std::string message = report_mail(mail);
    for (const std::string& line : lines(message)) {
      CHECK(line.size() <= 78);
      for (const char c : line) {
        CHECK((relay::smtp::is_printable(c) || c == '\t'));
      }
    }
    CHECK(contains(message, "charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"));
  }
}

TEST_CASE("base64 fills lines of 76 columns") {
  ReportMail mail = small();
  mail.body = std::string(57 * 2 + 1, 'x');
  const std::string full(base64(std::string(57, 'x')));
  REQUIRE(full.size() == 76);
  CHECK(contains(report_mail(mail), "\r\n\r\n" + full + "\r\n" + full + "\r\neA==\r\n\r\n--"));
  mail.body = std::string(57, 'x');
  CHECK(contains(report_mail(mail), "\r\n\r\n" + full + "\r\n\r\n--"));
}

TEST_CASE("a plain text travels as it is, whatever its line ends") {
  for (const char* text : {"a b\n\n\tc", "a b\r\n\r\n\tc\r\n", "a b\n\r\n\tc\n"}) {
    ReportMail mail = small();
    mail.text = text;
    CHECK(contains(report_mail(mail), "Encoding: 7bit\r\n\r\na b\r\n\r\n\tc\r\n\r\n--"));
  }
}

TEST_CASE("the sender's name: none, quoted, encoded without dividing a character") {
  struct Row {
    std::string name;
    const char* from;
  };
  for (const Row& row : {
           Row{"", "From: <tls-reports@sender.example>"},
           Row{"a \"b\" \\c", "From: \"a \\\"b\\\" \\\\c\" <tls-reports@sender.example>"},
           Row{"a\r\nBcc: x", "From: \"a??Bcc: x\" <tls-reports@sender.example>"},
           Row{"J\xc3\xb6rg", "From: =?utf-8?B?SsO2cmc=?= <tls-reports@sender.example>"},
           // 44 octets, then a character of two
           Row{std::string(44, 'a') + "\xc3\xb6",
               "From:\r\n =?utf-8?B?YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=?="
               "\r\n =?utf-8?B?w7Y=?= <tls-reports@sender.example>"},
       }) {
    ReportMail mail = small();
    mail.from_name = row.name;
    CHECK(field(report_mail(mail), "From") == row.from);
  }
}

TEST_CASE("no value can forge a field, a line or a part") {
  const std::string evil = "x\r\nBcc: y@z.example\r\n\r\n--=_tlsrpt_\r\n";
  for (std::string ReportMail::*value :
       {&ReportMail::from, &ReportMail::from_name, &ReportMail::to, &ReportMail::report_domain,
        &ReportMail::submitter, &ReportMail::report_id, &ReportMail::file_name,
        &ReportMail::message_id}) {
    ReportMail mail = small();
    mail.*value = evil;
    const std::string message = report_mail(mail);
    CHECK(message_parts(message).fields.size() == 11);
    CHECK_FALSE(contains(message, "\nBcc:"));
    CHECK_FALSE(contains(message, "\n--=_tlsrpt_\r\n"));
  }
}

TEST_CASE("the boundary is the report's own and avoids what the text holds") {
  ReportMail mail = small();
  const std::string type = field(report_mail(mail), "Content-Type");
  const std::string boundary = type.substr(type.find("=_"), type.rfind('"') - type.find("=_"));
  mail.text = "--" + boundary + "--\n";
  CHECK(contains(field(report_mail(mail), "Content-Type"), boundary + "_\""));
  CHECK(report_mail(mail).ends_with("\r\n--" + boundary + "_--\r\n"));
  mail = small();
  mail.report_id = "20260820.2@sender.example";
  CHECK(field(report_mail(mail), "Content-Type") != type);
}

TEST_CASE("equal input gives equal octets") {
  CHECK(report_mail(small()) == report_mail(small()));
}

}  // namespace
