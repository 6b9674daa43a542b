#include "relay/delivery/conversation.h"

#include <variant>

#include <doctest/doctest.h>

#include "tests/relay/delivery/smtp_peer.h"

namespace {

using namespace relay::delivery;
namespace smtp = relay::smtp;
using Kind = smtp::SessionEnd::Kind;

/// One conversation of a message to two recipients.
struct Talk : support::DeliveryWorld {
  explicit Talk(MessageJob::OwnName own_name = MessageJob::OwnName::loop) : own_name_(own_name) {}

  Conversation& open() {
    MessageJob message = job(store(recipients));
    message.own_name = own_name_;
    conversation = std::make_unique<Conversation>(conversations, target(), settings);
    conversation->open(std::move(message),
                       [this](ConversationReport made) { report = std::move(made); });
    return *conversation;
  }
  void run_until_reported() {
    support::run_until(loop, [this] { return report.has_value(); });
  }
  [[nodiscard]] const SessionUsed& session() const {
    REQUIRE(report);
    REQUIRE(std::holds_alternative<SessionUsed>(*report));
    return std::get<SessionUsed>(*report);
  }
  [[nodiscard]] smtp::Disposition first_disposition() const {
    REQUIRE(session().transaction);
    return session().transaction->recipients.front().disposition;
  }

  std::vector<std::string> recipients{"a.example", "b.example"};
  MessageJob::OwnName own_name_;
  std::unique_ptr<Conversation> conversation;
  std::optional<ConversationReport> report;
};

}  // namespace

TEST_CASE("a message is delivered and the session lives on") {
  Talk talk;
  talk.open();
  talk.run_until_reported();
  CHECK(talk.first_disposition() == smtp::Disposition::delivered);
  CHECK_FALSE(talk.session().end);
  CHECK(talk.conversation->usable());
  CHECK(talk.peer.messages() == 1);
}

TEST_CASE("a host with our own name is this relay, unless a route's author named it") {
  for (const auto own_name : {MessageJob::OwnName::loop, MessageJob::OwnName::namesake}) {
    Talk talk(own_name);
    talk.peer.replies["EHLO"] = "250 Relay.Example";
    talk.open();
    talk.run_until_reported();
    const bool loops = own_name == MessageJob::OwnName::loop;
    CHECK((talk.session().peer == SessionUsed::Peer::self) == loops);
    CHECK(talk.peer.messages() == (loops ? 0 : 1));
  }
}

TEST_CASE("each RCPT has the whole of its time, however many there are") {
  constexpr int kRecipients = 12;
  Talk talk;
  talk.settings.timeouts.rcpt = std::chrono::milliseconds(1000);
  talk.peer.replies["RCPT"] = "";
  talk.peer.replies["DATA"] = "";
  talk.recipients.assign(kRecipients, "a.example");
  int answered = 0;
  relay::net::Timer* again = nullptr;
  relay::net::Timer tarpit(talk.loop, [&] {
    talk.peer.say(0, "250 ok");
    if (++answered < kRecipients) {
      again->start(std::chrono::milliseconds(100));
    } else {
      talk.peer.say(0, "354 go on");
    }
  });
  again = &tarpit;
  Conversation& conversation = talk.open();
  support::run_until(talk.loop, [&] { return conversation.stage() == smtp::Stage::rcpt; });
  tarpit.start(std::chrono::milliseconds(100));
  talk.run_until_reported();
  CHECK(answered == kRecipients);
  CHECK_FALSE(talk.session().end);
  CHECK(talk.first_disposition() == smtp::Disposition::delivered);
}

TEST_CASE("expire: the message ends as if its stage had timed out") {
  struct Row {
    std::string silent_at;  ///< the verb that gets no reply
    smtp::Stage stage;
    smtp::Disposition disposition;
  };
  for (const Row& row : {Row{"MAIL", smtp::Stage::mail, smtp::Disposition::not_tried},
                         Row{"DATA", smtp::Stage::data, smtp::Disposition::not_tried},
                         Row{".", smtp::Stage::final_dot, smtp::Disposition::unknown}}) {
    CAPTURE(row.silent_at);
    Talk talk;
    talk.peer.replies["EHLO"] = "250 peer.example";
    talk.peer.replies[row.silent_at] = "";
    Conversation& conversation = talk.open();
    support::run_until(talk.loop, [&] { return conversation.stage() == row.stage; });
    conversation.expire();
    CHECK(talk.session().end->kind == Kind::timeout);
    CHECK(talk.session().end->stage == row.stage);
    CHECK(talk.first_disposition() == row.disposition);
    CHECK_FALSE(conversation.usable());
  }
}

TEST_CASE("expire: before the greeting, and before there is a connection") {
  Talk talk;
  talk.peer.replies[""] = "";
  Conversation& conversation = talk.open();
  SUBCASE("no connection yet") {
    conversation.expire();
    REQUIRE(talk.report);
    CHECK(std::holds_alternative<ConnectFailed>(*talk.report));
    support::settle(talk.loop);
  }
  SUBCASE("no greeting") {
    support::run_until(talk.loop, [&] { return talk.peer.connections() == 1; });
    support::settle(talk.loop);
    conversation.expire();
    CHECK(talk.session().end->kind == Kind::timeout);
    CHECK(talk.session().end->stage == smtp::Stage::greeting);
    CHECK_FALSE(talk.session().transaction);
  }
}

TEST_CASE("sessions of different hosts, requirements or generations are not interchangeable") {
  support::DeliveryWorld world;
  const ConversationTarget target = world.target();
  ConversationTarget named = target;
  named.host = *relay::net::DomainName::parse("mx.example");
  ConversationTarget verified = target;
  verified.requirement = smtp::TlsRequirement::verified();
  ConversationTarget later = target;
  ++later.generation;
  for (const auto& other : {named, verified, later}) {
    CHECK(other.key() != target.key());
  }
}
