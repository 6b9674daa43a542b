// Failure notices: what is said of a host depends on whether it answered.
#include <string>

#include <doctest/doctest.h>

#include "relay/delivery/notice.h"

namespace relay::delivery {
namespace {

using namespace std::chrono_literals;
constexpr net::WallTime kNow{std::chrono::seconds(1'800'000'000)};

std::string notice(Fate::Kind kind, std::string text, std::string reply) {
  spool::Envelope envelope;
  envelope.id = spool::MessageId(5);
  envelope.sender = "sender@home.example";
  envelope.received_at = kNow - 96h;
  spool::Recipient recipient;
  recipient.address = "user@example.net";
  recipient.domain = "example.net";
  envelope.recipients.push_back(recipient);
  RecipientOutcome outcome;
  outcome.host = "mx1.example.net";
  outcome.status = "4.4.1";
  outcome.text = std::move(text);
  outcome.remote_reply = std::move(reply);
  Fate fate;
  fate.kind = kind;
  fate.recipient = &envelope.recipients.front();
  fate.outcome = &outcome;
  return status_notice(
             NoticeSubject{message::Action::failed, message::Reader::sender, envelope.sender},
             envelope, std::span(&fate, 1), "Subject: hello\r\n\r\nbody\r\n",
             NoticeFacts{"relay.example.org", spool::MessageId(6), kNow, 96h})
      .content;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t result = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) {
    ++result;
  }
  return result;
}

/// Without the line ends that wrapping made.
std::string unwrapped(std::string text) {
  for (std::size_t at = 0; (at = text.find("\r\n    ", at)) != std::string::npos;) {
    text.replace(at, 6, " ");
  }
  return text;
}

}  // namespace

TEST_CASE("a host that never answered is no Remote-MTA") {
  const auto text = notice(Fate::Kind::expired, "connect: timed out after 30 s", "");
  CHECK(text.find("Remote-MTA:") == std::string::npos);
  CHECK(text.find("Diagnostic-Code:") == std::string::npos);
  CHECK(text.find("mx1.example.net") != std::string::npos);
}

TEST_CASE("a reply is said once for the person and once in its field") {
  struct Row {
    Fate::Kind kind;
    std::string text;
  };
  for (const auto& row :
       {Row{Fate::Kind::failed, "550 5.1.1 gone"}, Row{Fate::Kind::expired, "550 5.1.1 gone"},
        Row{Fate::Kind::expired, "it said at EHLO: 550 5.1.1 gone"},
        Row{Fate::Kind::expired, "nothing worked"}}) {
    const auto text = notice(row.kind, row.text, "550 5.1.1 gone");
    CHECK(count(unwrapped(text), "550 5.1.1 gone") == 2);
    CHECK(count(text, "Diagnostic-Code: smtp; 550 5.1.1 gone\r\n") == 1);
    if (row.text == "550 5.1.1 gone") {
      CHECK(text.find("\r\n    550 5.1.1 gone\r\n") != std::string::npos);  // not wrapped
    }
    CHECK(count(text, "Remote-MTA: dns; mx1.example.net\r\n") == 1);
  }
}

}  // namespace relay::delivery
