// What a listener's settings do to its own submitters' mail, and who is known how.
#include <string>

#include <doctest/doctest.h>

#include "relay/reception/access.h"
#include "tests/relay/reception/reception_fixture.h"

namespace relay::reception::testing {
namespace {

std::string submission_of(const std::string& header) {
  return kEnvelope + "DATA\r\n" + header + "\r\nbody\r\n.\r\nQUIT\r\n";
}

/// The one message that came of this header section, without Received.
std::string stored(const ListenerSettings& listener, const std::string& header) {
  World world({}, listener);
  (void)converse(world, submission_of(header));
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  const auto content = world.content(queue[0].id);
  CHECK(queue[0].size == content.size());
  return content.substr(content.find("+0000\r\n") + 7);
}

TEST_CASE("Date and Message-ID come with the queue's id, unless that is switched off") {
  ListenerSettings listener;
  const auto completed = stored(listener, "Subject: s\r\n");
  CHECK(completed.starts_with("Subject: s\r\nDate: "));
  CHECK(completed.find("\r\nMessage-ID: <") != std::string::npos);
  CHECK(completed.ends_with("@relay.example>\r\n\r\nbody\r\n"));
  listener.rules.add_missing_headers = false;
  CHECK(stored(listener, "Subject: s\r\n") == "Subject: s\r\n\r\nbody\r\n");
}

TEST_CASE("a sender is rewritten in the envelope and in From") {
  ListenerSettings listener;
  listener.rules.add_missing_headers = false;
  listener.rules.rewrite_senders = {{"b.example", "@c.example"}};
  World world({}, listener);
  (void)converse(world, submission_of("From: A <a@b.example>\r\n"));
  REQUIRE(world.queue().size() == 1);
  CHECK(world.queue()[0].sender == "a@c.example");
  CHECK(world.content(world.queue()[0].id).ends_with("From: A <a@c.example>\r\n\r\nbody\r\n"));
}

TEST_CASE("a hidden client is in the log and in the queue, not in the message") {
  ListenerSettings listener;
  listener.rules.hide_client = true;
  World world({}, listener);
  (void)converse(world, submission_of("Subject: s\r\n"));
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  const auto content = world.content(queue[0].id);
  CHECK(content.starts_with("Received: by relay.example with ESMTP id "));
  CHECK(content.find("127.0.0.1") == std::string::npos);
  CHECK(content.find("client.example") == std::string::npos);
  CHECK(queue[0].client_ip == "127.0.0.1");
  CHECK(world.log().find("client=127.0.0.1") != std::string::npos);
}

TEST_CASE("rules count for the clients that they name, together with the listener's own") {
  conf::Listener listener;
  listener.senders.deny = {"never.example"};
  listener.client_rules = {{{"app", "uid:7"}, {}, {{"app.example"}, {}}, {}},
                           {{}, {*conf::Network::parse("192.0.2.0/24")}, {}, {{"d.example"}, {}}}};
  const reception::Client network{"192.0.2.9", "192.0.2.9", "[192.0.2.9]"};
  const reception::Client other{"198.51.100.1", "198.51.100.1", "[198.51.100.1]"};
  const reception::Client local{"", "uid:7", "uid 7"};
  struct Row {
    reception::Client client;
    const char* user;
    bool other_sender, other_recipient;
  };
  for (const auto& row : {Row{other, "", true, true}, Row{other, "app", false, true},
                          Row{network, "", true, false}, Row{network, "app", false, false},
                          Row{local, "", false, true}, Row{other, "uid:8", true, true}}) {
    CAPTURE(row.client.name);
    CAPTURE(row.user);
    const auto rules = envelope_rules(listener, row.client, row.user);
    CHECK_FALSE(smtp::permits(rules.senders, "x@never.example"));
    CHECK(smtp::permits(rules.senders, "x@app.example"));
    CHECK(smtp::permits(rules.senders, "x@other.example") == row.other_sender);
    CHECK(smtp::permits(rules.recipients, "x@d.example"));
    CHECK(smtp::permits(rules.recipients, "x@other.example") == row.other_recipient);
  }
}

TEST_CASE("a UNIX socket's clients may relay") {
  conf::Listener listener;
  listener.address.path = "/run/smtp.sock";
  listener.allow_networks.clear();
  CHECK(permission(listener, "").relaying == smtp::Relaying::allowed);
}

}  // namespace
}  // namespace relay::reception::testing
