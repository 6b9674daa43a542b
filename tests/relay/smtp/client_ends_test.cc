// ClientSession: recipients that may follow at once, and ends at awkward moments.
#include <string>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/client_fixture.h"

namespace relay::smtp::testing {

TEST_CASE("recipients follow at once only when the transaction got somewhere") {
  struct Row {
    std::string keywords, replies, summary;
    Demand demand;
  };
  const std::string taken = "S: 250 ok\nS: 250 ok\n";
  const std::string some = "S: 250 ok\nS: 250 ok\nS: 452 4.5.3 enough\n";
  const std::string max = "PIPELINING,LIMITS RCPTMAX=1";
  const std::vector<Row> rows{
      {"PIPELINING", some + "S: 354 go\nC: .\nS: 250 ok",
       "delivered@final-dot 2.0.0, deferred@rcpt 4.5.3 too_many", Demand::ready},
      {"PIPELINING", some + "S: 354 go\nC: .\nS: 451 4.3.0 no",
       "deferred@final-dot 4.3.0, deferred@rcpt 4.5.3", Demand::ready},
      {"PIPELINING", some + "S: 451 4.3.0 no", "deferred@data 4.3.0, deferred@rcpt 4.5.3",
       Demand::ready},
      {"PIPELINING", some + "S: 421 4.3.2 bye", "not_tried@data 4.3.2, deferred@rcpt 4.5.3",
       Demand::close},
      {max, taken + "S: 354 go\nC: .\nS: 250 ok",
       "delivered@final-dot 2.0.0, deferred@rcpt 4.5.3 too_many", Demand::ready},
      {max, "S: 250 ok\nS: 550 5.1.1 who\nS: 503 x",
       "rejected@rcpt 5.1.1, deferred@rcpt 4.5.3 too_many", Demand::ready},
      {max, "S: 450 4.2.0 later\nS: 503 x\nS: 503 x", "deferred@mail 4.2.0, deferred@mail 4.2.0",
       Demand::ready},
      {max, "S: 550 5.7.1 no\nS: 503 x\nS: 503 x", "rejected@mail 5.7.1, rejected@mail 5.7.1",
       Demand::ready},
      {max, "S: 421 4.3.2 bye", "not_tried@mail 4.3.2, not_tried@mail 4.3.2", Demand::close},
      {max, taken + "S: 451 4.3.0 no", "deferred@data 4.3.0, deferred@data 4.3.0", Demand::ready},
      {max, taken + "S: 354 go\nC: .\nS: 451 4.3.0 no",
       "deferred@final-dot 4.3.0, deferred@final-dot 4.3.0", Demand::ready},
      {max, taken + "S: 354 go\nC: .\nS: 554 5.6.0 no",
       "rejected@final-dot 5.6.0, deferred@rcpt 4.5.3", Demand::ready},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.keywords);
      CAPTURE(row.replies);
      auto client = ready(row.keywords);
      client.begin(message({"x@d.example", "y@d.example"}));
      (void)client.take_output();
      const auto body = row.replies.find("C: .");
      play(client, 'S', row.replies.substr(0, body), cut);
      if (body != std::string::npos) {
        REQUIRE(client.demand() == Demand::send_body);
        client.body_end();
        play(client, 'S', row.replies.substr(body), cut);
      }
      CHECK(summary(client) == row.summary);
      CHECK(client.demand() == row.demand);
    }
  }
}

TEST_CASE("a connection lost at MAIL leaves all untried, also those that RCPTMAX held back") {
  auto client = ready("PIPELINING,LIMITS RCPTMAX=1");
  client.begin(message({"x@d.example", "y@d.example"}));
  client.closed("reset by peer");
  CHECK(summary(client) == "not_tried@mail 4.4.2, not_tried@mail 4.4.2");
  CHECK(client.end()->kind == Kind::lost);
}

TEST_CASE("a connection lost in the handshake is a failed handshake") {
  for (const auto& requirement : {TlsRequirement::opportunistic(), TlsRequirement::verified()}) {
    auto client = session(requirement);
    play(client, 'S',
         "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go");
    client.closed("eof");
    CHECK(client.demand() == Demand::close);
    CHECK(client.take_output().empty());
    REQUIRE(client.tls_outcome().has_value());
    CHECK(std::get<net::TlsFailed>(*client.tls_outcome()).reason == "handshake-eof");
    const bool may_retry = requirement.after_failed_handshake().has_value();
    CHECK(client.end()->kind == (may_retry ? Kind::tls_failed : Kind::tls_requirement));
  }
}

TEST_CASE("421 to STARTTLS ends an opportunistic session without a word") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto client = session();
    play(client, 'S',
         "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n"
         "S: 421 4.3.2 busy",
         cut);
    CHECK(client.demand() == Demand::close);
    CHECK(client.take_output().empty());
    CHECK(client.end()->kind == Kind::refused);
    CHECK(client.end()->stage == Stage::starttls);
    CHECK(client.end()->reply->code == 421);
    CHECK(std::get<net::TlsNotOffered>(*client.tls_outcome()).reason == "starttls-reply-421");
  }
}

TEST_CASE("quit in a transaction says nothing more and leaves its recipients untried") {
  auto client = ready("PIPELINING");
  client.begin(message({"x@d.example", "y@d.example"}));
  client.receive("250 ok\r\n250 ok\r\n");
  (void)client.take_output();
  client.quit();
  CHECK(client.take_output().empty());
  CHECK(client.demand() == Demand::close);
  CHECK(client.end()->kind == Kind::quit);
  CHECK(client.end()->stage == Stage::rcpt);
  CHECK(summary(client) == "not_tried@rcpt 4.4.2, not_tried@rcpt 4.4.2");

  auto at_dot = ready("PIPELINING");
  at_dot.begin(message({"x@d.example"}));
  at_dot.receive("250 ok\r\n250 ok\r\n354 go\r\n");
  at_dot.body("x\r\n");
  at_dot.body_end();
  at_dot.quit();
  CHECK(summary(at_dot) == "unknown@final-dot 4.4.2");
}

}  // namespace relay::smtp::testing
