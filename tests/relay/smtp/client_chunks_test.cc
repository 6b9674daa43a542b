#include <string>

#include <doctest/doctest.h>

#include "tests/relay/smtp/client_fixture.h"

namespace relay::smtp::testing {
namespace {

/// A session that has said MAIL and RCPT to a server with CHUNKING, one recipient accepted.
ClientSession at_content() {
  auto client = ready("PIPELINING,CHUNKING,8BITMIME");
  client.begin(message({"x@d.example", "y@d.example"}));
  play(client, 'S',
       "C: MAIL FROM:<a@sender.example>\nC: RCPT TO:<x@d.example>\nC: RCPT TO:<y@d.example>\n"
       "S: 250 2.1.0 ok\nS: 250 2.1.5 ok\nS: 550 5.1.1 who");
  REQUIRE(client.demand() == Demand::send_body);
  return client;
}

}  // namespace

TEST_CASE("BDAT: a message of one slice is one chunk, its dots as they are, its line ends mended") {
  auto client = at_content();
  client.body(".dot\r\nstray\nend");
  CHECK(client.take_output().empty());
  client.body_end();
  CHECK(client.take_output() == "BDAT 18 LAST\r\n.dot\r\nstray\r\nend\r\n");
  CHECK(client.stage() == Stage::final_dot);
  play(client, 'S', "S: 250 2.0.0 queued");
  CHECK(summary(client) == "delivered@final-dot 2.0.0, rejected@rcpt 5.1.1");
  REQUIRE(client.demand() == Demand::ready);
  client.begin(message({"x@d.example"}));
  CHECK(client.take_output().starts_with("MAIL FROM:"));
}

TEST_CASE("BDAT: chunks follow each other, and each is answered") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto client = at_content();
    client.body("one\r");
    client.body("\ntwo\r\n");
    CHECK(client.take_output() == "BDAT 3\r\none");
    play(client, 'S', "S: 250 2.0.0 3 octets", cut);
    CHECK(client.demand() == Demand::send_body);
    client.body_end();
    CHECK(client.take_output() == "BDAT 7 LAST\r\n\r\ntwo\r\n");
    play(client, 'S', "S: 250 2.0.0 queued", cut);
    CHECK(summary(client) == "delivered@final-dot 2.0.0, rejected@rcpt 5.1.1");
  }
}

TEST_CASE("BDAT: a refused chunk ends the message, what is under way is awaited, RSET follows") {
  auto client = at_content();
  client.body("one");
  client.body("two");
  client.body("three");
  CHECK(client.take_output() == "BDAT 3\r\noneBDAT 3\r\ntwo");
  client.receive("452 4.3.1 full\r\n");
  CHECK(client.demand() == Demand::read);
  client.body("ignored");
  client.body_end();
  CHECK(client.take_output().empty());
  client.receive("503 5.5.1 RSET first\r\n");
  CHECK(summary(client) == "deferred@body 4.3.1, rejected@rcpt 5.1.1");
  REQUIRE(client.demand() == Demand::ready);
  client.begin(message({"x@d.example"}));
  CHECK(client.take_output().starts_with("RSET\r\nMAIL FROM:"));
}

TEST_CASE("BDAT: the last chunk may be refused, or the connection lost before its answer") {
  auto refused = at_content();
  refused.body("x");
  refused.body_end();
  refused.receive("554 5.6.0 no\r\n");
  CHECK(summary(refused) == "rejected@final-dot 5.6.0, rejected@rcpt 5.1.1");

  auto lost = at_content();
  lost.body("one");
  lost.body("two");
  lost.body_end();
  lost.closed("reset");
  CHECK(summary(lost).starts_with("unknown@"));

  auto earlier = at_content();
  earlier.body("one");
  earlier.body("two");
  earlier.closed("reset");
  CHECK(summary(earlier).starts_with("not_tried@"));
}

TEST_CASE("BDAT: content goes to nobody if all recipients are refused, and DATA where it must") {
  auto nobody = ready("PIPELINING,CHUNKING");
  nobody.begin(message({"x@d.example"}));
  play(nobody, 'S',
       "C: MAIL FROM:<a@sender.example>\nC: RCPT TO:<x@d.example>\nS: 250 ok\nS: 550 5.1.1 who");
  CHECK(nobody.take_output().empty());
  CHECK(summary(nobody) == "rejected@rcpt 5.1.1");

  for (const std::string keywords : {"PIPELINING", "CHUNKING"}) {
    CAPTURE(keywords);
    auto client = ready(keywords);
    client.begin(message({"x@d.example"}));
    std::string said = client.take_output();
    for (int i = 0; i < 2; ++i) {
      client.receive("250 ok\r\n");
      said += client.take_output();
    }
    CHECK(said.ends_with("DATA\r\n"));
  }
}

}  // namespace relay::smtp::testing
