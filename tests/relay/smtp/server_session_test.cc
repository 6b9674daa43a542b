#include "relay/smtp/server_session.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/support/auto_server.h"
#include "tests/support/dialogue.h"

using relay::smtp::LineEnds;
using relay::smtp::Relaying;
using relay::smtp::Room;
using relay::smtp::ServerSession;
using relay::smtp::ServerSettings;
using support::AutoServer;
using support::Cut;
using support::play;
using Demand = ServerSession::Demand;

namespace {

ServerSettings settings() {
  ServerSettings result;
  result.hostname = "relay.example";
  result.relaying = Relaying::allowed;
  result.content.message_size = 100'000;
  return result;
}

AutoServer after_ehlo(ServerSettings with = settings()) {
  AutoServer server(std::move(with));
  server.receive("EHLO client.example\r\n");
  (void)server.take_output();
  return server;
}

/// In the middle of DATA.
AutoServer in_data(ServerSettings with = settings()) {
  auto server = after_ehlo(std::move(with));
  server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n");
  REQUIRE(server.take_output().ends_with("354 End data with <CR><LF>.<CR><LF>\r\n"));
  return server;
}

std::string codes(const std::string& output) {
  std::string result;
  for (std::size_t at = 0; at < output.size(); at = output.find('\n', at) + 1) {
    if (output[at + 3] == ' ') {
      result += (result.empty() ? "" : " ") + output.substr(at, 3);
    }
  }
  return result;
}

}  // namespace

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

TEST_CASE("only CRLF.CRLF ends the data; every other variant is refused after the true end") {
  const std::vector<std::string> variants{"\n.\n",       "\n.\r\n",     "\r\n.\n", "\r.\r",
                                          "\r.\r\n",     "\r\n.\r",     "\r.\n",   "\n.\r",
                                          "\r\n.\r\r\n", "\r\r\n.x\r\n"};
  for (const auto& variant : variants) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(variant);
      auto server = in_data();
      support::feed(server,
                    "Subject: x\r\n\r\nbody" + variant +
                        "MAIL FROM:<evil@b.example>\r\nRCPT TO:<v@d.example>\r\nDATA\r\n",
                    cut);
      CHECK(server.take_output().empty());
      support::feed(server, "\r\n.\r\nMAIL FROM:<c@b.example>\r\n", cut);
      // Refused once, then closed: what follows may be smuggled.
      CHECK(codes(server.take_output()) == "550 421");
      CHECK(server.session.demand() == Demand::close);
      CHECK(server.messages.empty());
    }
  }
}

TEST_CASE("NUL next to a dot is refused after the true end and the next MAIL is answered") {
  for (const auto& variant : {std::string("\r\n\0.\r\n", 6), std::string("\r\n.\0\r\n", 6)}) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      auto server = in_data();
      support::feed(server, "Subject: x\r\n\r\nbody" + variant + "text\r\n", cut);
      CHECK(server.take_output().empty());
      support::feed(server, ".\r\nMAIL FROM:<c@b.example>\r\n", cut);
      CHECK(server.take_output() == "550 5.6.0 NUL in message\r\n250 2.1.0 Ok\r\n");
      CHECK(server.messages.empty());
    }
  }
}

TEST_CASE("listed clients have bare line ends mended, and still only CRLF.CRLF ends the data") {
  auto mending = settings();
  mending.content.line_ends = LineEnds::normalize_bare;
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto server = in_data(mending);
    support::feed(server, "Subject: x\n\none\n.\nMAIL FROM:<e@b>\rtwo\r\r\n.\r\n", cut);
    CHECK(codes(server.take_output()) == "250");
    REQUIRE(server.messages.size() == 1);
    CHECK(server.messages[0].content ==
          "Subject: x\r\n\r\none\r\n.\r\nMAIL FROM:<e@b>\r\ntwo\r\n\r\n");
  }
}

TEST_CASE("content that breaks a limit is refused once, after its end, and the session goes on") {
  struct Row {
    std::string content, reply;
  };
  std::string received;
  for (int i = 0; i < 51; ++i) {
    received += "Received: from a by b; now\r\n";
  }
  std::string header;
  while (header.size() <= 256 * 1024) {
    header += "X-Filler: " + std::string(900, 'x') + "\r\n";
  }
  std::string large;
  while (large.size() <= 2 << 20) {
    large += std::string(900, 'x') + "\r\n";
  }
  auto roomy = settings();
  roomy.content.message_size = 1 << 20;
  const std::vector<Row> rows{
      {"Subject: x\r\n\r\n" + std::string(999, 'x') + "\r\n",
       "550 5.6.0 Line longer than 998 octets"},
      {"Subject: " + std::string(999, 'x') + "\r\n", "550 5.6.0 Line longer than 998 octets"},
      {received + "\r\nx\r\n", "554 5.4.6 More than 50 Received fields: mail loop"},
      {header + "\r\nx\r\n", "552 5.3.4 Header section too large"},
      {"S: x\r\n\r\n" + large, "552 5.3.4 Message larger than 1048576 octets"},
  };
  for (const auto& row : rows) {
    auto server = in_data(roomy);
    server.receive(row.content);
    CHECK(server.take_output().empty());
    CHECK_FALSE(server.session.receiving());
    server.receive(".\r\n");
    CHECK(server.take_output() == row.reply + "\r\n");
    server.receive("MAIL FROM:<c@b.example>\r\n");
    CHECK(codes(server.take_output()) == "250");
    CHECK(server.messages.empty());
  }
}

TEST_CASE("a line of 998 octets, 50 Received fields and 8-bit text pass") {
  std::string content;
  for (int i = 0; i < 50; ++i) {
    content += "Received: from a by b; now\r\n";
  }
  content += "\r\n" + std::string(998, 'x') +
             "\r\nGr\xc3\xbc\xc3\x9f"
             "e\r\n";
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto server = in_data();
    support::feed(server, content + ".\r\n", cut);
    CHECK(codes(server.take_output()) == "250");
    REQUIRE(server.messages.size() == 1);
    CHECK(server.messages[0].content == content);
    CHECK(server.messages[0].transaction.eight_bit);
    CHECK_FALSE(server.messages[0].transaction.needs_smtputf8);
  }
}

TEST_CASE("text without a header gets the empty line that separates it from the field put before") {
  for (const auto* text : {"Hello there\r\n", " continued: nothing\r\n", "no colon here\r\n"}) {
    auto server = in_data();
    server.receive(std::string(text) + ".\r\n");
    REQUIRE(server.messages.size() == 1);
    CHECK(server.messages[0].content == "\r\n" + std::string(text));
  }
  auto empty = in_data();
  empty.receive(".\r\n");
  REQUIRE(empty.messages.size() == 1);
  CHECK(empty.messages[0].content.empty());
}

TEST_CASE("commands get their codes") {
  struct Row {
    std::string line, code;
  };
  const std::vector<Row> rows{
      {"VRFY alice", "252"},
      {"EXPN list", "502"},
      {"ETRN x", "502"},
      {"noop", "250"},
      {"RSET ", "250"},
      {"HELP", "214"},
      {"FROBNICATE", "500"},
      {"", "500"},
      {"MAIL FROM:<a@b.example> FOO=bar", "555"},
      {"MAIL FROM:<a@b.example> REQUIRETLS", "555"},
      {"MAIL FROM:<a@b.example> AUTH=<>", "555"},
      {"MAIL FROM:<a@b.example>SIZE=1", "501"},
      {"MAIL FROM:a@b.example", "501"},
      {"MAIL a@b", "501"},
      {"MAIL FROM: <a@b.example>", "250"},
      {"MAIL FROM:<>", "250"},
      {"MAIL FROM:<a@b.example> SIZE=100001", "552"},
      {"MAIL FROM:<a@b.example> SIZE=100000 BODY=8BITMIME", "250"},
      {"MAIL FROM:<a@b.example> SIZE=x", "501"},
      {"MAIL FROM:<a@b.example> BODY=BINARYMIME", "501"},
      {"MAIL FROM:<a@b.example> RET=ALL", "501"},
      {"MAIL FROM:<a@b.example> ENVID=a b", "555"},
      {"MAIL FROM:<a@b.example> ENVID=a+2b", "501"},
      {"MAIL FROM:<a@b.example> ENVID=" + std::string(101, 'x'), "501"},
      {"MAIL FROM:<a@b.example> ENVID=" + std::string(100, 'x'), "250"},
      {"MAIL FROM:<gr\xc3\xbc\xc3\x9f@b.example>", "553"},
      {"MAIL FROM:<gr\xc3\xbc\xc3\x9f@b.example> SMTPUTF8", "250"},
      {"MAIL FROM:<gr\xfc\xdf@b.example> SMTPUTF8", "501"},
      {"MAIL FROM:<" + std::string(64, 'a') + "@b.example>", "250"},
      {"MAIL FROM:<" + std::string(65, 'a') + "@b.example>", "501"},
      {"RCPT TO:<a@b.example>", "503"},
      {"DATA", "503"},
      {"EHLO", "501"},
      {"EHLO two words", "501"},
      {"EHLO evil(comment", "501"},
      {"EHLO [IPv6:::1]", "250"},
      {"HELO under_score", "250"},
      {"QUIT", "221"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.line);
      auto server = after_ehlo();
      support::feed(server, row.line + "\r\n", cut);
      CHECK(codes(server.take_output()) == row.code);
    }
  }
}

TEST_CASE("recipients get their codes") {
  struct Row {
    std::string argument, reply;
  };
  const std::vector<Row> rows{
      {"<x@d.example>", "250 2.1.5"},
      {"<postmaster>", "550 5.1.3"},
      {"<>", "501 5.5.4"},
      {"<x@[192.0.2.1]>", "550 5.1.2"},
      {"<x@[IPv6:2001:db8::1]>", "550 5.1.2"},
      {"<x@192.0.2.1>", "550 5.1.3"},
      {"<x@>", "550 5.1.3"},
      {"<@>", "501 5.1.3"},
      {"<x@a..b>", "550 5.1.3"},
      {"<x y@d.example>", "501 5.1.3"},
      {"<gr\xc3\xbc\xc3\x9f@d.example>", "553 5.6.7"},
      {"<x@b\xc3\xbc"
       "cher.example>",
       "250 2.1.5"},
      {"<x@d.example> NOTIFY=NEVER,DELAY", "501 5.5.4"},
      {"<x@d.example> NOTIFY=", "501 5.5.4"},
      {"<x@d.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;x+2By@d.example", "250 2.1.5"},
      {"<x@d.example> ORCPT=x@d.example", "501 5.5.4"},
      {"<x@d.example> ORCPT=rfc822;" + std::string(500, 'x'), "501 5.5.4"},
      {"<x@d.example> FOO", "555 5.5.4"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.argument);
    auto server = after_ehlo();
    server.receive("MAIL FROM:<a@b.example>\r\n");
    (void)server.take_output();
    server.receive("RCPT TO:" + row.argument + "\r\n");
    CHECK(server.take_output().starts_with(row.reply));
  }
}

TEST_CASE("SMTPUTF8 is needed only for a non-ASCII local part or header section") {
  struct Row {
    std::string sender, recipient, content;
    bool needed;
  };
  const std::vector<Row> rows{
      {"a@b.example", "x@d.example", "Subject: x\r\n\r\nx\r\n", false},
      {"a@b.example",
       "x@b\xc3\xbc"
       "cher.example",
       "Subject: x\r\n\r\n\xc3\xbc\r\n", false},
      {"\xc3\xbc@b.example", "x@d.example", "Subject: x\r\n\r\nx\r\n", true},
      {"a@b.example", "\xc3\xbc@d.example", "Subject: x\r\n\r\nx\r\n", true},
      {"a@b.example", "x@d.example", "Subject: \xc3\xbc\r\n\r\nx\r\n", true},
  };
  for (const auto& row : rows) {
    auto server = after_ehlo();
    server.receive("MAIL FROM:<" + row.sender + "> SMTPUTF8\r\nRCPT TO:<" + row.recipient +
                   ">\r\nDATA\r\n" + row.content + ".\r\n");
    REQUIRE(server.messages.size() == 1);
    CHECK(server.messages[0].transaction.needs_smtputf8 == row.needed);
    CHECK(server.messages[0].protocol == "UTF8SMTP");
  }
}

TEST_CASE("clients that may not relay are refused at RCPT, and it is told") {
  auto closed = settings();
  closed.relaying = Relaying::denied;
  auto server = after_ehlo(closed);
  play(server, 'C',
       "C: MAIL FROM:<a@b.example>\nC: RCPT TO:<x@d.example>\nC: DATA\n"
       "S: 250 2.1.0 Ok\nS: 550 5.7.1 Relaying denied\nS: 554 5.5.1 No valid recipients");
  const auto rejections = server.session.take_rejections();
  REQUIRE(rejections.size() == 2);
  CHECK(rejections[0].stage == "RCPT");
  CHECK(rejections[0].recipient == "x@d.example");
  CHECK(rejections[0].reply == "550 5.7.1 Relaying denied");
}

TEST_CASE("a full disk is temporary at MAIL, DATA and the end; a failed store ends the session") {
  struct Row {
    Room mail, data, end;
    std::string codes;
  };
  const std::vector<Row> rows{
      {Room::disk_full, Room::available, Room::available, "452 503 503 500"},
      {Room::store_failed, Room::available, Room::available, "421"},
      {Room::available, Room::disk_full, Room::available, "250 250 452 500"},
      {Room::available, Room::store_failed, Room::available, "250 250 421"},
      {Room::available, Room::available, Room::disk_full, "250 250 354 452"},
      {Room::available, Room::available, Room::store_failed, "250 250 354 421"},
  };
  for (const auto& row : rows) {
    auto server = after_ehlo();
    server.room = row.mail;
    server.room_for_data = row.data;
    server.stored = row.end;
    server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n.\r\n");
    CHECK(codes(server.take_output()) == row.codes);
  }
}

TEST_CASE("BDAT takes exact octets, in any cut, and mixes with nothing") {
  const std::string first = "Subject: x\r\n\r\n.\r\n";
  const std::string second = "..\r\nend";
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto server = after_ehlo();
    support::feed(server,
                  "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nBDAT 17\r\n" + first +
                      "DATA\r\nRCPT TO:<y@d.example>\r\nMAIL FROM:<>\r\nBDAT 7\r\n" + second +
                      "BDAT 0 LAST\r\nNOOP\r\n",
                  cut);
    CHECK(codes(server.take_output()) == "250 250 250 503 503 503 250 250 250");
    REQUIRE(server.messages.size() == 1);
    // The unfinished last line is completed: what leaves has only whole lines.
    CHECK(server.messages[0].content == first + second + "\r\n");
    CHECK(server.messages[0].transaction.recipients.size() == 1);
  }
}

TEST_CASE("a refused BDAT is drained by its octets and voids the transaction") {
  struct Row {
    std::string input, codes;
  };
  const std::string envelope = "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\n";
  const std::vector<Row> rows{
      {"BDAT 20 LAST\r\nMAIL FROM:<a@b.ex>\r\nNOOP\r\n", "503 250"},
      {"BDAT 0\r\nNOOP\r\n", "503 250"},
      {"MAIL FROM:<a@b.example>\r\nBDAT 6 LAST\r\nNOOP\r\nNOOP\r\n", "250 554 250"},
      {envelope + "BDAT 5\r\na\nb\r\nBDAT 6 LAST\r\nNOOP\r\nNOOP\r\n", "250 250 550 503 250"},
      {envelope + "BDAT 3 LAST\r\na\rbNOOP\r\n", "250 250 550 250"},
      {envelope + "BDAT 1 LAST\r\n\rNOOP\r\n", "250 250 550 250"},
      {envelope + "BDAT x\r\n", "250 250 501 421"},
      {envelope + "BDAT 5 FIRST\r\n", "250 250 501 421"},
      {envelope + "BDAT 99999999999999999999\r\n", "250 250 501 421"},
      {envelope + "BDAT 5\r\nA: b\nRSET\r\nBDAT 1 LAST\r\nx", "250 250 550 250 503"},
      {envelope + "BDAT 6\r\nA: b\r\nRSET\r\nBDAT 1 LAST\r\nx", "250 250 250 250 503"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.input);
      auto server = after_ehlo();
      support::feed(server, row.input, cut);
      CHECK(codes(server.take_output()) == row.codes);
      CHECK(server.messages.empty());
    }
  }
  auto full = after_ehlo();
  full.room_for_data = Room::disk_full;
  full.receive(envelope + "BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n");
  CHECK(codes(full.take_output()) == "250 250 452 250");
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

TEST_CASE("the recipient limit is temporary and costs no error") {
  auto few = settings();
  few.recipients = 1;
  few.hard_errors = 2;
  auto server = after_ehlo(few);
  server.receive(
      "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nRCPT TO:<y@d.example>\r\n"
      "RCPT TO:<z@d.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n");
  CHECK(server.take_output() ==
        "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n452 4.5.3 Too many recipients\r\n"
        "452 4.5.3 Too many recipients\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n");
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
  idle.session.timed_out();
  CHECK(idle.take_output() == "421 4.4.2 relay.example Timeout\r\n");

  ServerSession storing(settings());
  storing.receive("EHLO c\r\nMAIL FROM:<a@b.example>\r\n");
  storing.checked(Room::available);
  storing.receive("RCPT TO:<x@d.example>\r\nDATA\r\n");
  storing.opened(Room::available);
  storing.receive(".\r\nQUIT\r\n");
  REQUIRE(storing.demand() == Demand::store_message);
  (void)storing.take_output();
  storing.timed_out();
  storing.shut_down();
  CHECK(storing.take_output().empty());
  storing.stored(Room::available, "X1");
  CHECK(storing.take_output() ==
        "250 2.0.0 Ok: queued as X1\r\n421 4.3.2 relay.example Shutting down\r\n");
}

TEST_CASE("after HELO replies carry no enhanced codes on refusals") {
  AutoServer server(settings());
  (void)server.take_output();
  server.receive("HELO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x>\r\n");
  const auto output = server.take_output();
  CHECK(output.find("550 Address without a domain\r\n") != std::string::npos);
  CHECK(server.session.protocol() == "SMTP");
}
