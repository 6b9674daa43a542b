// ServerSession: DATA, BDAT and what message content must be.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {

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

TEST_CASE("1000 header fields pass, whatever lines they have, and 1001 do not") {
  const auto content = [](int fields) {
    std::string text;
    for (int i = 0; i < fields; ++i) {
      text += "X-N: a\r\n b\r\n";
    }
    return text + "\r\nbody\r\n";
  };
  auto fits = in_data();
  fits.receive(content(1000) + ".\r\n");
  CHECK(codes(fits.take_output()) == "250");
  REQUIRE(fits.messages.size() == 1);
  CHECK(fits.messages[0].content == content(1000));
  auto over = in_data();
  over.receive(content(1001) + ".\r\n");
  CHECK(over.take_output() == "552 5.3.4 Header section too large\r\n");
  CHECK(over.messages.empty());
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

}  // namespace relay::smtp::testing
