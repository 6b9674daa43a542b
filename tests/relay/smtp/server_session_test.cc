#include "relay/smtp/server_session.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {

TEST_CASE("a pipelined transaction is answered in order and stored once") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    AutoServer server(settings());
    play(server, 'C',
         "S: 220 relay.example ESMTP stsrelay\n"
         "C: EHLO client.example\n"
         "S: 250-relay.example\nS: 250-PIPELINING\nS: 250-SIZE 100000\nS: 250-8BITMIME\n"
         "S: 250-SMTPUTF8\nS: 250-ENHANCEDSTATUSCODES\nS: 250-CHUNKING\nS: 250-DSN\n"
         "S: 250 LIMITS RCPTMAX=1000\n"
         "C: MAIL FROM:<a@B.example> SIZE=10 RET=hdrs ENVID=e+2B1\n"
         "C: RCPT TO:<@one.example,@two.example:X@D.Example> NOTIFY=delay,failure\n"
         "C: RCPT TO:<X@d.example>\n"
         "C: RCPT TO:<\"a b\"@d.example> ORCPT=rfc822;a@b\n"
         "C: DATA\n"
         "S: 250 2.1.0 Ok\nS: 250 2.1.5 Ok\nS: 250 2.1.5 Ok\nS: 250 2.1.5 Ok\n"
         "S: 354 End data with <CR><LF>.<CR><LF>\n"
         "C: Subject: x\nC: \nC: ..dot\nC: .\nC: MAIL FROM:<>\nC: QUIT\n"
         "S: 250 2.0.0 Ok: queued as ID1\nS: 250 2.1.0 Ok\nS: 221 2.0.0 Bye",
         cut);
    CHECK(server.session.demand() == Demand::close);
    REQUIRE(server.messages.size() == 1);
    const auto& message = server.messages.front();
    CHECK(message.content == "Subject: x\r\n\r\n.dot\r\n");
    CHECK(message.protocol == "ESMTP");
    CHECK(message.transaction.sender == "a@b.example");
    CHECK(message.transaction.ret == "HDRS");
    CHECK(message.transaction.envid == "e+2B1");
    REQUIRE(message.transaction.recipients.size() == 2);
    CHECK(message.transaction.recipients[0].address.text() == "X@d.example");
    CHECK(message.transaction.recipients[0].notify == "DELAY,FAILURE");
    CHECK(message.transaction.recipients[1].address.text() == "\"a b\"@d.example");
    CHECK(message.transaction.recipients[1].orcpt == "rfc822;a@b");
    CHECK_FALSE(message.transaction.eight_bit);
  }
}

TEST_CASE("lines must be lines: bare LF, NUL, control characters and length") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto bare = after_ehlo();
    support::feed(bare, "NOOP\nNOOP\r\n", cut);
    CHECK(codes(bare.take_output()) == "500 250");

    auto cr = after_ehlo();
    support::feed(cr, "NOOP\rNOOP\r\nNOOP\r\n", cut);
    CHECK(codes(cr.take_output()) == "500 250");

    auto nul = after_ehlo();
    support::feed(nul, std::string("NOOP \0\r\nNOOP\r\n", 14), cut);
    CHECK(codes(nul.take_output()) == "500 421");
    CHECK(nul.session.demand() == Demand::close);

    auto fits = after_ehlo();
    support::feed(fits, "NOOP " + std::string(507, 'x') + "\r\n", cut);
    CHECK(codes(fits.take_output()) == "250");
    support::feed(fits, "NOOP " + std::string(508, 'x') + "\r\n", cut);
    CHECK(codes(fits.take_output()) == "500");
    support::feed(fits, "MAIL FROM:<a@b.example> ENVID=" + std::string(2000, 'x') + "\r\n", cut);
    CHECK(codes(fits.take_output()) == "501");
    support::feed(fits, "MAIL FROM:<" + std::string(5000, 'x') + "\r\nNOOP\r\n", cut);
    CHECK(codes(fits.take_output()) == "500 250");
    support::feed(fits, std::string(100'000, 'x') + "\r\nNOOP\r\n", cut);
    CHECK(codes(fits.take_output()) == "421");
  }
}

TEST_CASE("what speaks HTTP or TLS is cut off at its first line") {
  for (const auto* start : {"GET / HTTP/1.1\r\nMAIL FROM:<a@b>\r\n", "post /x HTTP/1.0\r\n",
                            "CONNECT a:443 HTTP/1.1\r\n", "\x16\x03\x01\x02"}) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      AutoServer server(settings());
      (void)server.take_output();
      support::feed(server, start, cut);
      CHECK(codes(server.take_output()) == "421");
      CHECK(server.session.demand() == Demand::close);
      CHECK(server.session.take_rejections().size() == 1);
    }
  }
}

TEST_CASE("errors slow a client down, then end its session; idle commands have a limit too") {
  auto strict = settings();
  strict.soft_errors = 2;
  strict.hard_errors = 4;
  strict.junk_commands = 3;
  auto server = after_ehlo(strict);
  server.receive("A\r\nB\r\n");
  CHECK(server.pauses == 0);
  server.receive("C\r\n");
  CHECK(server.pauses == 1);
  CHECK(codes(server.take_output()) == "500 500 500");
  server.receive("D\r\nNOOP\r\n");
  CHECK(codes(server.take_output()) == "500 421");
  CHECK(server.session.demand() == Demand::close);

  auto idle = after_ehlo(strict);
  idle.receive("NOOP\r\nVRFY x\r\nRSET\r\n");
  CHECK(codes(idle.take_output()) == "250 252 250");
  idle.receive("NOOP\r\n");
  CHECK(codes(idle.take_output()) == "421");
}

TEST_CASE("nothing is answered during a pause, and the order of replies stays") {
  auto strict = settings();
  strict.soft_errors = 0;
  ServerSession session(strict);
  (void)session.take_output();
  session.receive("BAD\r\nNOOP\r\n");
  CHECK(session.demand() == Demand::pause);
  CHECK(session.take_output().empty());
  session.resumed();
  CHECK(codes(session.take_output()) == "500 250");
}

TEST_CASE("a stop ends idle sessions at once and others after their message") {
  auto idle = after_ehlo();
  idle.session.shut_down();
  CHECK(idle.take_output() == "421 4.3.2 relay.example Shutting down\r\n");
  CHECK(idle.session.demand() == Demand::close);

  auto busy = in_data();
  busy.session.shut_down();
  CHECK(busy.take_output().empty());
  busy.receive("Subject: x\r\n\r\n.\r\nMAIL FROM:<a@b.example>\r\n");
  CHECK(codes(busy.take_output()) == "250 421");
  CHECK(busy.session.demand() == Demand::close);
  CHECK(busy.messages.size() == 1);

  auto refused = in_data();
  refused.session.shut_down();
  refused.receive(std::string("a\0\r\n.\r\n", 7));
  CHECK(codes(refused.take_output()) == "550 421");
}

TEST_CASE("a silent client is told 421; a message being stored is never cut off") {
  auto idle = after_ehlo();
  idle.session.timed_out(Overrun::silence);
  CHECK(idle.take_output() == "421 4.4.2 relay.example Timeout\r\n");

  ServerSession storing(settings());
  storing.receive("EHLO c\r\nMAIL FROM:<a@b.example>\r\n");
  storing.checked(Room::available);
  storing.receive("RCPT TO:<x@d.example>\r\nDATA\r\n");
  storing.opened(Room::available);
  storing.receive(".\r\nQUIT\r\n");
  REQUIRE(storing.demand() == Demand::store_message);
  (void)storing.take_output();
  storing.timed_out(Overrun::session);
  storing.shut_down();
  CHECK(storing.take_output().empty());
  storing.stored(Room::available, "X1");
  CHECK(storing.take_output() ==
        "250 2.0.0 Ok: queued as X1\r\n421 4.3.2 relay.example Shutting down\r\n");
}

TEST_CASE("a command that is known but not provided is told from an unknown one") {
  auto server = after_ehlo();
  server.receive("EXPN list\r\nFROBNICATE\r\n");
  CHECK(server.take_output() ==
        "502 5.5.1 Command not provided here\r\n500 5.5.1 Command not recognized\r\n");
}

TEST_CASE("after HELO replies carry no enhanced codes on refusals") {
  AutoServer server(settings());
  (void)server.take_output();
  server.receive("HELO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x>\r\n");
  const auto output = server.take_output();
  CHECK(output.find("550 Address without a domain\r\n") != std::string::npos);
  CHECK(server.session.protocol() == "SMTP");
}

}  // namespace relay::smtp::testing
