#include "relay/delivery/notice.h"

#include <string>

#include <doctest/doctest.h>

namespace relay::delivery {
namespace {

using namespace std::chrono_literals;
constexpr net::WallTime kNow{std::chrono::seconds(1'800'000'000)};

struct Case {
  spool::Envelope envelope;
  RecipientOutcome outcome;
  Fate fate;
  Case(Fate::Kind kind, std::string text, std::string reply) {
    envelope.id = spool::MessageId(5);
    envelope.sender = "sender@home.example";
    envelope.size = 40;
    envelope.received_at = kNow - 96h;
    spool::Recipient recipient;
    recipient.address = "user@example.net";
    recipient.domain = "example.net";
    envelope.recipients.push_back(recipient);
    outcome.host = "mx1.example.net";
    outcome.ip = "203.0.113.5";
    outcome.status = "4.7.5";
    outcome.text = std::move(text);
    outcome.remote_reply = std::move(reply);
    fate.kind = kind;
    fate.expires = kNow;
    fate.recipient = &envelope.recipients.front();
    fate.outcome = &outcome;
  }
  [[nodiscard]] spool::Notice notice() const {
    return status_notice(
        NoticeSubject{message::Action::failed, message::Reader::sender, envelope.sender}, envelope,
        std::span(&fate, 1), "Subject: hello\r\n\r\nbody\r\n",
        NoticeFacts{"relay.example.org", spool::MessageId(6), kNow, 96h});
  }
};

/// Part texts are wrapped; what matters is the words in their order.
std::string unfolded(std::string text) {
  for (std::size_t at = 0; (at = text.find("\r\n", at)) != std::string::npos;) {
    text.replace(at, 2, " ");
  }
  for (std::size_t at = 0; (at = text.find("  ", at)) != std::string::npos;) {
    text.erase(at, 1);
  }
  return text;
}

TEST_CASE("an expiry under a policy names domain, host, policy and rule") {
  const Case expired(Fate::Kind::expired,
                     "MTA-STS policy of example.net (mode enforce, id 7): host mx1.example.net is "
                     "listed and must prove its name by a valid certificate (RFC 8461 section 4.2)",
                     "");
  const spool::Notice notice = expired.notice();
  const std::string text = unfolded(notice.content);
  for (const char* part : {"tried for 4 days", "mx1.example.net (203.0.113.5)", "example.net",
                           "mode enforce, id 7", "RFC 8461 section 4.2", "Status: 5.7.5",
                           "Final-Recipient: rfc822; user@example.net", "Action: failed"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}

TEST_CASE("a refusal quotes the remote reply") {
  const Case refused(Fate::Kind::failed, "550 5.1.1 no such user", "550 5.1.1 no such user");
  const std::string text = unfolded(refused.notice().content);
  CHECK(text.find("refused for good by the host mx1.example.net") != std::string::npos);
  CHECK(text.find("Diagnostic-Code: smtp; 550 5.1.1 no such user") != std::string::npos);
}

TEST_CASE(
    "RFC 8689: the bounce of a REQUIRETLS message is one too, and holds no more than headers") {
  struct Row {
    spool::MessageTls original, notice;
    std::string ret;
    bool body;
  };
  using enum spool::MessageTls;
  const std::vector<Row> rows{
      {normal, normal, "", false},
      {normal, normal, "FULL", true},
      {required, required, "", false},
      {required, required, "FULL", false},
      {required, required, "HDRS", false},
      // TLS-Required: No is a wish about the way there (RFC 8689 §3).
      {optional, normal, "FULL", true},
  };
  for (const auto& row : rows) {
    Case refused(Fate::Kind::failed, "550 5.1.1 no such user", "550 5.1.1 no such user");
    refused.envelope.tls = row.original;
    refused.envelope.ret = row.ret;
    refused.envelope.size = 24;  // all of the original is at hand
    const spool::Notice notice = refused.notice();
    CHECK(notice.envelope.tls == row.notice);
    CHECK((notice.content.find("\r\nbody\r\n") != std::string::npos) == row.body);
    CHECK(notice.content.find("Subject: hello") != std::string::npos);
    CHECK(unfolded(notice.content).find("REQUIRETLS") == std::string::npos);
  }
}

TEST_CASE("R04 R05: the sender of a REQUIRETLS message is told what failed and what to do") {
  struct Row {
    std::string status, sent, advice;
    spool::MessageTls tls;
  };
  using enum spool::MessageTls;
  const std::vector<Row> rows{
      {"5.7.30", "Status: 5.7.30",
       "postmaster of example.net for mail servers that support REQUIRETLS", required},
      {"4.7.30", "Status: 5.7.30", "mail servers that support REQUIRETLS", required},
      {"5.7.10", "Status: 5.7.10", "mail servers whose names and certificates can be verified",
       required},
      {"5.7.5", "Status: 5.7.5", "", required},
      {"5.7.10", "Status: 5.7.10", "", normal},
  };
  for (const auto& row : rows) {
    CAPTURE(row.status);
    Case failed(Fate::Kind::failed, "mx1.example.net does not offer REQUIRETLS.", "");
    failed.envelope.tls = row.tls;
    failed.outcome.status = row.status;
    const std::string text = unfolded(failed.notice().content);
    CHECK(text.find(row.sent) != std::string::npos);
    CHECK((text.find("(REQUIRETLS, RFC 8689)") != std::string::npos) == !row.advice.empty());
    CHECK((text.find("send it again without REQUIRETLS") != std::string::npos) ==
          !row.advice.empty());
    CHECK(text.find(row.advice) != std::string::npos);
  }
}

TEST_CASE("a delay notice says until when it is tried, and what the last answer was") {
  Case late(Fate::Kind::deferred, "451 4.7.1 come back later", "451 4.7.1 come back later");
  late.fate.expires = kNow + 92h;
  late.outcome.status = "4.7.1";
  const NoticeSubject subject{message::Action::delayed, message::Reader::sender,
                              late.envelope.sender};
  const spool::Notice notice =
      status_notice(subject, late.envelope, std::span(&late.fate, 1), "Subject: hello\r\n\r\n",
                    NoticeFacts{"relay.example.org", spool::MessageId(6), kNow, 96h});
  const std::string text = unfolded(notice.content);
  const auto first = text.find("Your message, accepted on ");
  const auto reply = text.find("451 4.7.1 come back later");
  REQUIRE(first != std::string::npos);
  REQUIRE(reply != std::string::npos);
  CHECK(first < reply);
  for (const char* part :
       {"Subject: Delayed mail to user@example.net", "Action: delayed", "Status: 4.7.1",
        "You need not send it again", "Will-Retry-Until: Tue, 19 Jan 2027 04:00:00 +0000",
        "could not be delivered to the host mx1.example.net (203.0.113.5)"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}

TEST_CASE("RFC 3461 section 4.3: only a failure returns more than the header") {
  struct Row {
    message::Action action;
    Fate::Kind kind;
    std::string text;
    bool body;
  };
  for (const auto& row : {Row{message::Action::failed, Fate::Kind::failed, "550 no", true},
                          Row{message::Action::delayed, Fate::Kind::deferred, "451 no", false},
                          Row{message::Action::relayed, Fate::Kind::delivered, "250 ok", false}}) {
    Case full(row.kind, row.text, row.text);
    full.envelope.ret = "FULL";
    full.envelope.size = 24;
    const spool::Notice notice =
        status_notice(NoticeSubject{row.action, message::Reader::sender, "a@b.example"},
                      full.envelope, std::span(&full.fate, 1), "Subject: hello\r\n\r\nbody\r\n",
                      NoticeFacts{"relay.example.org", spool::MessageId(6), kNow, 96h});
    CHECK((notice.content.find("\r\nbody\r\n") != std::string::npos) == row.body);
    CHECK((notice.content.find("Will-Retry-Until") != std::string::npos) ==
          (row.action == message::Action::delayed));
  }
}

TEST_CASE("a double bounce is a notice to the postmaster, and says that nobody else is told") {
  Case bounce(Fate::Kind::failed, "550 5.1.1 no such user", "550 5.1.1 no such user");
  bounce.envelope.sender.clear();
  const spool::Notice notice = status_notice(
      NoticeSubject{message::Action::failed, message::Reader::postmaster, "post@home.example"},
      bounce.envelope, std::span(&bounce.fate, 1), "Subject: hello\r\n\r\n",
      NoticeFacts{"relay.example.org", spool::MessageId(6), kNow, 96h});
  CHECK(notice.envelope.sender.empty());
  CHECK(notice.envelope.recipients[0].address == "post@home.example");
  CHECK(notice.envelope.recipients[0].domain == "home.example");
  const std::string text = unfolded(notice.content);
  CHECK(text.find("To: <post@home.example>") != std::string::npos);
  CHECK(text.find("Subject: Undeliverable bounce to user@example.net") != std::string::npos);
  CHECK(text.find("nobody but you, the postmaster, is told") != std::string::npos);
}

TEST_CASE("a notice goes to the sender, from nobody, and is none to answer") {
  const spool::Notice notice = Case(Fate::Kind::failed, "550 no", "550 no").notice();
  CHECK(notice.envelope.sender.empty());
  CHECK(notice.envelope.origin == spool::Origin::notice);
  REQUIRE(notice.envelope.recipients.size() == 1);
  CHECK(notice.envelope.recipients[0].address == "sender@home.example");
  CHECK(notice.envelope.recipients[0].domain == "home.example");
  CHECK(notice.envelope.recipients[0].notify == "NEVER");
  CHECK(notice.envelope.size == notice.content.size());
  CHECK(notice.content.find("Auto-Submitted: auto-replied") != std::string::npos);
}

}  // namespace
}  // namespace relay::delivery
