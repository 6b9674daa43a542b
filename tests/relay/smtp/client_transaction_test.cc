// ClientSession: mail transactions.
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/client_fixture.h"

namespace relay::smtp::testing {

using namespace std::chrono_literals;

TEST_CASE("with PIPELINING the envelope is one write, answered in any fragmentation") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto client = ready("PIPELINING,SIZE 1000,DSN,8BITMIME,SMTPUTF8");
    auto transaction = message({"x@d.example", "y@d.example"});
    transaction.eight_bit = true;
    transaction.smtputf8 = true;
    transaction.ret = "HDRS";
    transaction.envid = "e+2B1";
    transaction.recipients[0].notify = "NEVER";
    transaction.recipients[1].orcpt = "rfc822;y@d.example";
    client.begin(std::move(transaction));
    play(client, 'S',
         "C: MAIL FROM:<a@sender.example> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e+2B1\n"
         "C: RCPT TO:<x@d.example> NOTIFY=NEVER\n"
         "C: RCPT TO:<y@d.example> ORCPT=rfc822;y@d.example\n"
         "C: DATA\n"
         "S: 250 2.1.0 ok\nS: 250 2.1.5 ok\nS: 550 5.1.1 who\nS: 354 go",
         cut);
    REQUIRE(client.demand() == Demand::send_body);
    CHECK(client.timeout() == 180s);
    client.body("Subject: x\r\n\r\n.dot\r");
    client.body("\nend");
    CHECK(client.take_output() == "Subject: x\r\n\r\n..dot\r\nend");
    client.body_end();
    CHECK(client.take_output() == "\r\n.\r\n");
    CHECK(client.timeout() == 600s);
    play(client, 'S', "S: 250 2.0.0 queued", cut);
    CHECK(summary(client) == "delivered@final-dot 2.0.0, rejected@rcpt 5.1.1");
    CHECK(client.demand() == Demand::ready);
    client.begin(message({"x@d.example"}));
    CHECK(client.take_output().starts_with("MAIL FROM:"));
  }
}

TEST_CASE("without PIPELINING each command waits for its answer; parameters only when offered") {
  auto client = ready("HELP", true);
  auto transaction = message({"x@d.example", "y@d.example"});
  transaction.eight_bit = true;
  transaction.ret = "FULL";
  transaction.recipients[0].notify = "NEVER";
  client.begin(std::move(transaction));
  play(client, 'S',
       "C: MAIL FROM:<a@sender.example>\nS: 250 ok\nC: RCPT TO:<x@d.example>\nS: 250 ok\n"
       "C: RCPT TO:<y@d.example>\nS: 450 later\nC: DATA\nS: 354 go");
  client.body("x\r\n");
  client.body_end();
  play(client, 'S', "C: x\nC: .\nS: 250 ok");
  CHECK(summary(client) == "delivered@final-dot 2.0.0, deferred@rcpt 4.0.0");
}

TEST_CASE("what the server says decides each recipient") {
  struct Row {
    std::string replies, summary;
    Demand demand;
  };
  const std::string ok = "S: 250 ok\nS: 250 ok\nS: 250 ok\n";
  const std::vector<Row> rows{
      {"S: 550 5.7.1 no\nS: 503 x\nS: 503 x\nS: 503 x", "rejected@mail 5.7.1, rejected@mail 5.7.1",
       Demand::ready},
      {"S: 451 4.3.0 no\nS: 503 x\nS: 503 x\nS: 354 x\nC: .\nS: 554 none",
       "deferred@mail 4.3.0, deferred@mail 4.3.0", Demand::ready},
      {"S: 250 ok\nS: 550 a\nS: 450 b\nS: 503 x", "rejected@rcpt 5.0.0, deferred@rcpt 4.0.0",
       Demand::ready},
      {"S: 250 ok\nS: 550 a\nS: 450 b\nS: 354 x\nC: .\nS: 554 none",
       "rejected@rcpt 5.0.0, deferred@rcpt 4.0.0", Demand::ready},
      {ok + "S: 451 4.3.1 full", "deferred@data 4.3.1, deferred@data 4.3.1", Demand::ready},
      {ok + "S: 554 5.6.0 no", "rejected@data 5.6.0, rejected@data 5.6.0", Demand::ready},
      {"S: 250 ok\nS: 250 ok\nS: 421 4.3.2 bye", "not_tried@rcpt 4.3.2, not_tried@rcpt 4.3.2",
       Demand::close},
      {"S: 250 ok\nS: 550 5.1.1 no\nS: 421 bye", "rejected@rcpt 5.1.1, not_tried@rcpt 4.0.0",
       Demand::close},
      {"S: 421 bye", "not_tried@mail 4.0.0, not_tried@mail 4.0.0", Demand::close},
      {ok + "S: 421 bye", "not_tried@data 4.0.0, not_tried@data 4.0.0", Demand::close},
      {ok + "S: 250 ok", "not_tried@data 4.5.0, not_tried@data 4.5.0", Demand::close},
      {"S: 250 ok\nS: 550 whose?\nS: 250 ok\nS: 250 ok",
       "deferred@rcpt 4.5.0, not_tried@data 4.5.0", Demand::close},
      {"S: 354 eh", "not_tried@mail 4.5.0, not_tried@mail 4.5.0", Demand::close},
      {"S: 199 eh", "not_tried@mail 4.5.0, not_tried@mail 4.5.0", Demand::close},
      {"S: 250 ok\nS: 250 ok\nS: 452 4.5.3 enough\nS: 451 x",
       "deferred@data 4.0.0, deferred@rcpt 4.5.3", Demand::ready},
      {"S: 250 ok\nS: 250 ok\nS: 552 Too many recipients\nS: 451 x",
       "deferred@data 4.0.0, deferred@rcpt 4.5.3", Demand::ready},
      {"S: 250 ok\nS: 452 4.5.3 enough\nS: 452 4.5.3 enough\nS: 503 x",
       "deferred@rcpt 4.5.3, deferred@rcpt 4.5.3", Demand::ready},
      {"S: 250 ok\nS: 250 ok\nS: 452 4.3.1 full\nS: 451 x",
       "deferred@data 4.0.0, deferred@rcpt 4.3.1", Demand::ready},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.replies);
      auto client = ready("PIPELINING");
      client.begin(message({"x@d.example", "y@d.example"}));
      CHECK(client.take_output().ends_with("DATA\r\n"));
      play(client, 'S', row.replies, cut);
      CHECK(summary(client) == row.summary);
      CHECK(client.demand() == row.demand);
      CHECK(client.take_output().empty());
    }
  }
}

TEST_CASE("without PIPELINING an answer that comes before its command bounces nobody") {
  for (const char* extra : {"550 5.1.1 whose?\r\n", "250 ok\r\n", "5"}) {
    CAPTURE(extra);
    auto client = ready("");
    client.begin(message({"x@d.example"}));
    CHECK(client.take_output().starts_with("MAIL FROM:"));
    client.receive(std::string("250 ok\r\n") + extra);
    CHECK(summary(client) == "not_tried@rcpt 4.5.0");
    CHECK(client.demand() == Demand::close);
    CHECK(client.take_output().empty());
  }
}

TEST_CASE("after the final dot a lost answer is unknown, a 4xx defers and a 5xx rejects") {
  struct Row {
    std::string reply, summary;
    Demand demand;
  };
  const std::vector<Row> rows{
      {"S: 250 2.6.0 ok", "delivered@final-dot 2.6.0", Demand::ready},
      {"S: 451 4.3.0 later", "deferred@final-dot 4.3.0", Demand::ready},
      {"S: 554 no", "rejected@final-dot 5.0.0", Demand::ready},
      {"S: 421 4.3.2 bye", "deferred@final-dot 4.3.2", Demand::close},
      {"S: 354 eh", "unknown@final-dot 4.5.0", Demand::close},
      {"S: <html>", "unknown@final-dot 4.5.0", Demand::close},
  };
  const auto at_dot = [] {
    auto client = ready("PIPELINING");
    client.begin(message({"x@d.example"}));
    client.receive("250 ok\r\n250 ok\r\n354 go\r\n");
    client.body("x\r\n");
    client.body_end();
    (void)client.take_output();
    return client;
  };
  for (const auto& row : rows) {
    CAPTURE(row.reply);
    auto client = at_dot();
    play(client, 'S', row.reply, Cut::bytes);
    CHECK(summary(client) == row.summary);
    CHECK(client.demand() == row.demand);
  }
  auto lost = at_dot();
  lost.closed("reset by peer");
  CHECK(summary(lost) == "unknown@final-dot 4.4.2");
  CHECK(lost.end()->kind == Kind::lost);
  auto late = at_dot();
  late.timed_out();
  CHECK(summary(late) == "unknown@final-dot 4.4.1");
  CHECK(late.end()->kind == Kind::timeout);
}

TEST_CASE("before the final dot a lost connection leaves recipients untried") {
  auto client = ready("PIPELINING");
  client.begin(message({"x@d.example", "y@d.example"}));
  client.receive("250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n");
  (void)client.take_output();
  client.body("half");
  client.closed("eof");
  CHECK(summary(client) == "rejected@rcpt 5.1.1, not_tried@body 4.4.2");

  auto unread = ready("PIPELINING");
  unread.begin(message({"x@d.example"}));
  unread.receive("250 ok\r\n250 ok\r\n354 go\r\n");
  (void)unread.take_output();
  unread.body_failed();
  CHECK(unread.take_output().empty());
  CHECK(unread.demand() == Demand::close);
  CHECK(summary(unread) == "deferred@body 4.3.0");

  auto interrupted = ready("PIPELINING");
  interrupted.begin(message({"x@d.example"}));
  interrupted.receive("250 ok\r\n250 ok\r\n354 go\r\n");
  interrupted.receive("552 5.3.4 too much\r\n");
  CHECK(interrupted.demand() == Demand::close);
  CHECK(summary(interrupted) == "rejected@body 5.3.4");
}

TEST_CASE("a message the host cannot take is never begun on the wire") {
  struct Row {
    std::string keywords, summary;
    ClientTransaction transaction;
  };
  auto large = message({"x@d.example"});
  large.size = 1001;
  auto eight = message({"x@d.example"});
  eight.eight_bit = true;
  auto utf8 = message({"x@d.example"});
  utf8.smtputf8 = true;
  const std::vector<Row> rows{
      {"SIZE 1000", "unsuitable@mail 5.3.4", large},
      {"SIZE", "unsuitable@mail 5.6.3", eight},
      {"8BITMIME", "unsuitable@mail 5.6.7", utf8},
      {"SIZE", "rejected@rcpt 5.1.3", message({"x\r\nRCPT TO:<y"})},
  };
  for (const auto& row : rows) {
    auto client = ready(row.keywords);
    client.begin(row.transaction);
    CHECK(client.take_output().empty());
    CHECK(client.demand() == Demand::ready);
    CHECK(summary(client) == row.summary);
  }
}

TEST_CASE("RSET goes in front after a transaction that was left open, and only then") {
  auto client = ready("PIPELINING");
  client.begin(message({"x@d.example"}));
  (void)client.take_output();
  client.receive("250 ok\r\n550 no\r\n554 none\r\n");
  CHECK(summary(client) == "rejected@rcpt 5.0.0");
  client.begin(message({"y@d.example"}));
  play(client, 'S',
       "C: RSET\nC: MAIL FROM:<a@sender.example>\nC: RCPT TO:<y@d.example>\nC: DATA\n"
       "S: 250 flushed\nS: 250 ok\nS: 250 ok\nS: 354 go");
  client.body_end();
  play(client, 'S', "C: .\nS: 250 ok");
  CHECK(summary(client) == "delivered@final-dot 2.0.0");
  client.begin(message({"z@d.example"}));
  CHECK(client.take_output().starts_with("MAIL"));

  auto refused = ready("PIPELINING");
  refused.begin(message({"x@d.example"}));
  refused.receive("250 ok\r\n550 no\r\n554 none\r\n");
  (void)refused.take_result();
  refused.begin(message({"y@d.example"}));
  refused.receive("500 what\r\n");
  CHECK(refused.demand() == Demand::close);
  CHECK(summary(refused) == "not_tried@rset 4.5.0");
}

TEST_CASE("a large envelope is sent in batches of at most 100 commands") {
  std::vector<std::string> addresses;
  for (int i = 0; i < 150; ++i) {
    addresses.push_back("r" + std::to_string(i) + "@d.example");
  }
  auto client = ready("PIPELINING");
  client.begin(message(addresses));
  auto output = client.take_output();
  CHECK(std::count(output.begin(), output.end(), '\n') == 100);
  for (int i = 0; i < 100; ++i) {
    CHECK(client.take_output().empty());
    client.receive("250 ok\r\n");
  }
  output = client.take_output();
  CHECK(std::count(output.begin(), output.end(), '\n') == 52);
  CHECK(output.ends_with("DATA\r\n"));
}

TEST_CASE("RFC 9422: RCPTMAX splits the recipients, MAILMAX ends the session") {
  auto client = ready("PIPELINING,LIMITS RCPTMAX=1 MAILMAX=1");
  client.begin(message({"x@d.example", "y@d.example"}));
  play(client, 'S',
       "C: MAIL FROM:<a@sender.example>\nC: RCPT TO:<x@d.example>\nC: DATA\n"
       "S: 250 ok\nS: 550 no\nS: 503 no\nC: QUIT");
  CHECK(summary(client) == "rejected@rcpt 5.0.0, deferred@rcpt 4.5.3 too_many");
  CHECK(client.end()->kind == Kind::quit);
}

}  // namespace relay::smtp::testing
