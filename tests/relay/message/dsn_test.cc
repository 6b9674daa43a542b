#include "relay/message/dsn.h"

#include <algorithm>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using relay::message::DsnFacts;
using relay::message::DsnMessage;
using relay::message::DsnRecipient;
using relay::message::ReturnedContent;
using relay::message::SmtpUtf8;
using relay::message::status_notice;
using relay::message::Time;

namespace {

constexpr std::string_view kOriginal =
    "Received: from a by b; now\r\nMessage-ID:\r\n <m1@a.example>\r\nSubject: hello\r\n"
    "\r\nbody line\r\n";

DsnRecipient recipient() {
  DsnRecipient result;
  result.address = "x@d.example";
  result.orcpt = "rfc822;X+2B1@d.example";
  result.status = "5.1.1";
  result.remote_mta = "mx1.d.example";
  result.diagnostic = "550 5.1.1 no such user";
  result.explanation = "mx1.d.example, a mail host of d.example, refused the recipient.";
  result.last_attempt = Time(60s);
  return result;
}

DsnFacts facts() {
  DsnFacts result;
  result.hostname = "relay.example";
  result.id = "N1";
  result.original_id = "M1";
  result.to = "a@b.example";
  result.now = Time(120s);
  result.arrival = Time{};
  result.envid = "e+2B1";
  result.recipients = {recipient()};
  return result;
}

DsnMessage notice(const DsnFacts& about, std::string_view original = kOriginal) {
  return status_notice(about, {original, original.size()});
}

bool holds(const DsnMessage& message, std::string_view text) {
  return message.content.find(text) != std::string::npos;
}

/// Every line ends in CRLF, none is longer than 998 octets, and no CR or LF stands alone.
void check_lines(const std::string& content) {
  std::size_t line = 0;
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content[i] == '\n') {
      CHECK((i > 0 && content[i - 1] == '\r'));
      CHECK(i - line <= 999);
      line = i + 1;
    } else if (content[i] == '\r') {
      CHECK((i + 1 < content.size() && content[i + 1] == '\n'));
    }
  }
  CHECK(line == content.size());
}

}  // namespace

TEST_CASE("a failure notice is a multipart/report with text, status and returned header") {
  const auto message = notice(facts());
  CHECK(message.content ==
        "From: Mail Delivery System <MAILER-DAEMON@relay.example>\r\n"
        "To: <a@b.example>\r\n"
        "Subject: Undelivered mail to x@d.example\r\n"
        "Date: Thu, 1 Jan 1970 00:02:00 +0000\r\n"
        "Message-ID: <N1@relay.example>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "References: <m1@a.example>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "\tboundary=\"=_N1_M1\"\r\n"
        "\r\n"
        "--=_N1_M1\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "This is the mail relay relay.example. Your message, accepted on Thu, 1 Jan\r\n"
        "1970 00:00:00 +0000, could not be delivered to the recipient below. It will\r\n"
        "not be tried again.\r\n"
        "\r\n"
        "<x@d.example>\r\n"
        "    mx1.d.example, a mail host of d.example, refused the recipient.\r\n"
        "    The server mx1.d.example said:\r\n"
        "    550 5.1.1 no such user\r\n"
        "\r\n"
        "--=_N1_M1\r\n"
        "Content-Type: message/delivery-status\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "Reporting-MTA: dns; relay.example\r\n"
        "Original-Envelope-Id: e+1\r\n"
        "Arrival-Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
        "\r\n"
        "Original-Recipient: rfc822; X+1@d.example\r\n"
        "Final-Recipient: rfc822; x@d.example\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx1.d.example\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
        "Last-Attempt-Date: Thu, 1 Jan 1970 00:01:00 +0000\r\n"
        "\r\n"
        "--=_N1_M1\r\n"
        "Content-Type: text/rfc822-headers\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "Received: from a by b; now\r\nMessage-ID:\r\n <m1@a.example>\r\nSubject: hello\r\n"
        "\r\n"
        "--=_N1_M1--\r\n");
  check_lines(message.content);
  CHECK_FALSE(message.eight_bit);
  CHECK_FALSE(message.smtputf8);
}

TEST_CASE("the whole original comes back only when RET=FULL asks for it and it is at hand") {
  auto full = facts();
  full.ret = "FULL";
  CHECK(holds(notice(full), "Content-Type: message/rfc822\r\n"));
  CHECK(holds(notice(full), "body line\r\n"));
  const auto large = status_notice(full, {kOriginal, kOriginal.size() + 1});
  CHECK(holds(large, "text/rfc822-headers"));
  CHECK_FALSE(holds(large, "body line"));
  full.ret = "HDRS";
  CHECK_FALSE(holds(notice(full), "body line"));
}

TEST_CASE("a header section that is missing or cut is returned as far as it goes") {
  CHECK_FALSE(holds(notice(facts(), "\r\nbody only\r\n"), "body only"));
  const auto cut = status_notice(facts(), {"Subject: a\r\nX-Long: half", 1000});
  CHECK(holds(cut, "Subject: a\r\n\r\n--"));
  CHECK_FALSE(holds(cut, "half"));
  check_lines(notice(facts(), "").content);
}

TEST_CASE("absent facts leave no fields") {
  auto bare = facts();
  bare.envid.clear();
  bare.recipients = {{"x@d.example", "", "5.4.7", "", "", "It took too long.", "", std::nullopt}};
  const auto message = notice(bare, "Subject: x\r\nMessage-ID: broken\r\n\r\n");
  for (const auto* field : {"Original-Envelope-Id", "Original-Recipient", "Remote-MTA",
                            "Diagnostic-Code", "Last-Attempt-Date", "References", "The server"}) {
    CHECK_FALSE(holds(message, field));
  }
}

TEST_CASE("advice stands below what the server said, whole beside a long explanation") {
  auto advised = facts();
  advised.recipients.front().explanation = std::string(2000, 'x');
  advised.recipients.front().advice = "Send it again without REQUIRETLS.";
  CHECK(holds(notice(advised),
              "    550 5.1.1 no such user\r\n    Send it again without REQUIRETLS.\r\n\r\n--"));
}

TEST_CASE("several recipients share one notice") {
  auto several = facts();
  several.recipients.push_back(recipient());
  several.recipients.back().address = "y@d.example";
  const auto message = notice(several);
  CHECK(holds(message, "Subject: Undelivered mail to 2 recipients\r\n"));
  CHECK(holds(message,
              "\r\n\r\nOriginal-Recipient: rfc822; X+1@d.example\r\n"
              "Final-Recipient: rfc822; y@d.example\r\n"));
}

TEST_CASE("no input can forge a field, a line or a part") {
  auto hostile = facts();
  const std::string evil =
      "a\r\nBcc: z@z.example\r\n\r\n--=_N1_M1--\n\rx\x7f" + std::string(2000, 'y');
  hostile.to = evil;
  hostile.envid = "a+0D+0ABcc: z";
  auto& recipient = hostile.recipients.front();
  recipient.address = recipient.status = recipient.remote_mta = recipient.diagnostic = evil;
  recipient.explanation = recipient.advice = evil;
  recipient.orcpt = "rfc822;a+0D+0ABcc: z";
  const auto message = notice(hostile, "Subject: x\r\nMessage-ID: <a\tb>\r\n\r\n");
  check_lines(message.content);
  CHECK_FALSE(holds(message, "\nBcc:"));
  CHECK_FALSE(holds(message, "\n--=_N1_M1--\n"));
  // The boundary that the input knew is not the one in use.
  CHECK(holds(message, "boundary=\"=_N1_M1_\""));
}

TEST_CASE("RFC 6533: UTF-8 addresses and headers make the global forms") {
  auto global = facts();
  global.recipients.front().address = "\xc3\xbc@d.example";
  global.recipients.front().diagnostic = "550 5.1.1 no \xc3\xbc";
  const auto message = notice(global);
  CHECK(message.smtputf8);
  CHECK(message.eight_bit);
  CHECK(holds(message, "report-type=global-delivery-status"));
  CHECK(holds(message, "Content-Type: message/global-delivery-status\r\n"));
  CHECK(holds(message, "Final-Recipient: utf-8; \xc3\xbc@d.example\r\n"));
  CHECK(holds(message, "Diagnostic-Code: smtp; 550 5.1.1 no \xc3\xbc\r\n"));
  CHECK(holds(message, "Content-Type: text/rfc822-headers\r\n"));

  constexpr std::string_view kUtf8 = "Subject: \xc3\xbc\r\n\r\nbody\r\n";
  auto utf8 = facts();
  utf8.smtputf8 = SmtpUtf8::needed;
  CHECK(notice(utf8, kUtf8).smtputf8);
  CHECK(holds(notice(utf8, kUtf8), "Content-Type: message/global-headers\r\n"));

  // Raw 8-bit text in an old header is no reason to need SMTPUTF8.
  const auto old = notice(facts(), kUtf8);
  CHECK_FALSE(old.smtputf8);
  CHECK(old.eight_bit);
  CHECK(holds(old, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n"));
}

TEST_CASE("RFC 6533 section 3: a utf-8 ORCPT is UTF-8 in a global notice and ASCII in another") {
  auto about = facts();
  about.recipients.front().orcpt = "utf-8;j\\x{FC}rgen@d.example";
  CHECK(holds(notice(about), "Original-Recipient: utf-8; j\\x{FC}rgen@d.example\r\n"));
  about.recipients.front().address = "\xc3\xbc@d.example";
  CHECK(holds(notice(about), "Original-Recipient: utf-8; j\xc3\xbcrgen@d.example\r\n"));
  about.recipients.front().orcpt = "utf-8;j\xc3\xbcrgen@d.example";
  CHECK(holds(notice(about), "Original-Recipient: utf-8; j\xc3\xbcrgen@d.example\r\n"));
  about.recipients.front().address = "x@d.example";
  CHECK(holds(notice(about), "Original-Recipient: utf-8; j\\x{FC}rgen@d.example\r\n"));
}

TEST_CASE("each action has its words, its field and its subject") {
  struct Row {
    relay::message::Action action;
    const char* subject;
    const char* words;
    const char* field;
  };
  using relay::message::Action;
  for (const auto& row :
       {Row{Action::failed, "Subject: Undelivered mail to x@d.example", "could not be delivered to",
            "Action: failed"},
        Row{Action::delayed, "Subject: Delayed mail to x@d.example",
            "Will-Retry-Until: Thu, 1 Jan 1970 02:00:00 +0000", "Action: delayed"},
        Row{Action::relayed, "Subject: Mail passed on to x@d.example", "passed on for",
            "Action: relayed"}}) {
    auto about = facts();
    about.action = row.action;
    about.recipients.front().retry_until = Time(2h);
    for (const char* part : {row.subject, row.words, row.field}) {
      CAPTURE(part);
      CHECK(holds(notice(about), part));
    }
  }
}
