// ServerSession: MAIL, RCPT and the codes of commands.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {

TEST_CASE("a client over its limits is told so at MAIL, DATA and the end of content, as no error") {
  const std::string told = "450 4.7.1 No more than 2 messages per hour from you\r\n";
  for (const auto& [at_mail, at_data] : {std::pair{Room::client_over, Room::available},
                                         std::pair{Room::available, Room::client_over},
                                         std::pair{Room::available, Room::available}}) {
    auto server = after_ehlo();
    server.session.set_client_room({"No more than 2 messages per hour from you"});
    server.room = at_mail;
    server.room_for_data = at_data;
    server.stored = Room::client_over;
    server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n");
    if (at_mail == at_data) {
      server.receive("\r\n.\r\n");
    }
    CHECK(server.take_output().find(told) != std::string::npos);
    CHECK(server.session.demand() == ServerSession::Demand::read);
  }
}

TEST_CASE("recipients over a client's room are refused, and a repeated one is none") {
  auto server = after_ehlo();
  server.session.set_client_room({"", 1, "No more"});
  server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\n");
  (void)server.take_output();
  server.receive("RCPT TO:<y@d.example>\r\nRCPT TO:<x@d.example>\r\n");
  CHECK(server.take_output() == "450 4.7.1 No more\r\n250 2.1.5 Ok\r\n");
  CHECK(server.session.transaction().recipients.size() == 1);
}

TEST_CASE("who is turned away gets 421 at once, also in the place of an answer to AUTH") {
  auto server = after_ehlo();
  server.session.turn_away("Too many connections");
  CHECK(server.take_output().ends_with(" Too many connections\r\n"));
  CHECK(server.session.demand() == ServerSession::Demand::close);
  const auto rejections = server.session.take_rejections();
  REQUIRE(rejections.size() == 1);
  CHECK(rejections[0].end == "connections");
  server.session.turn_away("Too many connections");
  CHECK(server.take_output().empty());
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
      {"MAIL FROM:<a@b.example> AUTH=<>", "250"},
      {"MAIL FROM:<a@b.example> auth=e+3Dmc2@example.com", "250"},
      {"MAIL FROM:<a@b.example> AUTH=", "501"},
      {"MAIL FROM:<a@b.example> AUTH=+3d", "501"},
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

TEST_CASE("ORCPT of type utf-8 must be UTF-8, and needs SMTPUTF8") {
  struct Row {
    std::string mail, orcpt, code;
  };
  const std::vector<Row> rows{
      {" SMTPUTF8", "utf-8;\xc3\xbc@d.example", "250"},
      {"", "utf-8;\xc3\xbc@d.example", "501"},
      {" SMTPUTF8", "utf-8;\xfc@d.example", "501"},
      {" SMTPUTF8", "UTF-8;\xc0\xaf@d.example", "501"},
      {" SMTPUTF8", "utf-8;x\xc3", "501"},
      {" SMTPUTF8", "rfc822;\xc3\xbc@d.example", "501"},
      {"", "utf-8;x@d.example", "250"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.orcpt);
    auto server = after_ehlo();
    server.receive("MAIL FROM:<a@b.example>" + row.mail +
                   "\r\nRCPT TO:<x@d.example> ORCPT=" + row.orcpt + "\r\n");
    CHECK(codes(server.take_output()) == "250 " + row.code);
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
  CHECK(rejections[0].recipients == "x@d.example");
  CHECK(rejections[0].reply == "550 5.7.1 Relaying denied");
}

TEST_CASE(
    "a full disk or queue is temporary at MAIL, DATA and the end; a failed store ends the "
    "session") {
  struct Row {
    Room mail, data, end;
    std::string codes;
  };
  const std::vector<Row> rows{
      {Room::disk_full, Room::available, Room::available, "452 503 503 500"},
      {Room::queue_full, Room::available, Room::available, "452 503 503 500"},
      {Room::sender_full, Room::available, Room::available, "452 503 503 500"},
      {Room::store_failed, Room::available, Room::available, "421"},
      {Room::available, Room::disk_full, Room::available, "250 250 452 500"},
      {Room::available, Room::queue_full, Room::available, "250 250 452 500"},
      {Room::available, Room::sender_full, Room::available, "250 250 452 500"},
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

}  // namespace relay::smtp::testing
