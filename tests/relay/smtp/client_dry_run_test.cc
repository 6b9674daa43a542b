// ClientSession: a dry run names the recipients and sends nothing.
#include <string>

#include <doctest/doctest.h>

#include "tests/relay/smtp/client_fixture.h"

namespace relay::smtp::testing {
namespace {

ClientTransaction dry_run() {
  auto transaction = message({"x@d.example", "y@d.example"});
  transaction.purpose = Purpose::dry_run;
  return transaction;
}

}  // namespace

TEST_CASE("a dry run gives up after RCPT, with PIPELINING and without, and never says DATA") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto client = ready("PIPELINING,SIZE 1000");
    client.begin(dry_run());
    play(client, 'S',
         "C: MAIL FROM:<a@sender.example> SIZE=100\n"
         "C: RCPT TO:<x@d.example>\n"
         "C: RCPT TO:<y@d.example>\n"
         "C: RSET\n"
         "S: 250 ok\nS: 250 2.1.5 ok\nS: 550 5.1.1 who\nS: 250 2.0.0 ok",
         cut);
    CHECK(summary(client) == "delivered@rcpt 2.1.5, rejected@rcpt 5.1.1");
    CHECK(client.demand() == Demand::ready);
    client.begin(message({"x@d.example"}));
    CHECK(client.take_output().starts_with("MAIL FROM:"));  // no RSET again
  }
  auto client = ready("SIZE 1000");
  client.begin(dry_run());
  play(client, 'S',
       "C: MAIL FROM:<a@sender.example> SIZE=100\nS: 250 ok\n"
       "C: RCPT TO:<x@d.example>\nS: 450 4.2.0 busy\n"
       "C: RCPT TO:<y@d.example>\nS: 250 ok\n"
       "C: RSET\nS: 250 ok");
  CHECK(summary(client) == "deferred@rcpt 4.2.0, delivered@rcpt 2.1.5");
}

TEST_CASE("a dry run sends no chunk where CHUNKING is offered") {
  auto client = ready("PIPELINING,CHUNKING");
  client.begin(dry_run());
  play(client, 'S',
       "C: MAIL FROM:<a@sender.example>\n"
       "C: RCPT TO:<x@d.example>\n"
       "C: RCPT TO:<y@d.example>\n"
       "C: RSET\n"
       "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok");
  CHECK(summary(client) == "delivered@rcpt 2.1.5, delivered@rcpt 2.1.5");
  CHECK(client.demand() == Demand::ready);
}

TEST_CASE("a dry run whose sender or recipients are all refused ends with that") {
  auto client = ready("HELP");
  client.begin(dry_run());
  play(client, 'S', "C: MAIL FROM:<a@sender.example>\nS: 550 5.7.1 no");
  CHECK(summary(client) == "rejected@mail 5.7.1, rejected@mail 5.7.1");
  CHECK(client.demand() == Demand::ready);
}

TEST_CASE("a dry run whose RSET is refused ends the session, and nobody bounces") {
  auto client = ready("PIPELINING");
  client.begin(dry_run());
  (void)client.take_output();
  client.receive("250 ok\r\n250 ok\r\n550 5.1.1 who\r\n500 what\r\n");
  CHECK(client.demand() == Demand::close);
  CHECK(summary(client) == "not_tried@rset 4.5.0, deferred@rcpt 4.5.0");
}

}  // namespace relay::smtp::testing
