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
    fate.recipient = &envelope.recipients.front();
    fate.outcome = &outcome;
  }
  [[nodiscard]] spool::Notice notice() const {
    return failure_notice(envelope, std::span(&fate, 1), "Subject: hello\r\n\r\nbody\r\n",
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

TEST_CASE("a notice goes to the sender, from nobody, and is none to answer") {
  const spool::Notice notice = Case(Fate::Kind::failed, "550 no", "550 no").notice();
  CHECK(notice.envelope.sender.empty());
  CHECK(notice.envelope.origin == spool::Origin::notice);
  REQUIRE(notice.envelope.recipients.size() == 1);
  CHECK(notice.envelope.recipients[0].address == "sender@home.example");
  CHECK(notice.envelope.recipients[0].domain == "home.example");
  CHECK(notice.envelope.size == notice.content.size());
  CHECK(notice.content.find("Auto-Submitted: auto-replied") != std::string::npos);
}

}  // namespace
}  // namespace relay::delivery
