// ServerSession: clients that speak another protocol, or cost more than they bring.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {

TEST_CASE("an HTTP method cuts the client off at any line, however long the line is") {
  const std::string smuggled = "MAIL FROM:<a@b.example>\r\n";
  struct Row {
    std::string input, codes;
  };
  const std::vector<Row> rows{
      {"POST /" + std::string(5000, 'a') + " HTTP/1.1\r\n" + smuggled, "421"},
      {"POST /" + std::string(5000, 'a'), "421"},
      {"get\t/\r\n" + smuggled, "421"},
      {"OPTIONS\r\n" + smuggled, "421"},
      {"HEAD\n" + smuggled, "421"},
      {"EHLO c\r\nNOOP\r\nCONNECT a:443 HTTP/1.1\r\n" + smuggled, "250 250 421"},
      {"NOOP " + std::string(600, 'x') + "\r\nPUT /x HTTP/1.1\r\n" + smuggled, "500 421"},
      {"GETTING\r\nNOOP\r\n", "500 250"},
      {std::string(600, 'G') + "\r\nNOOP\r\n", "500 250"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.input.substr(0, 40));
      AutoServer server(settings());
      (void)server.take_output();
      support::feed(server, row.input, cut);
      CHECK(codes(server.take_output()) == row.codes);
      CHECK((server.session.demand() == Demand::close) == row.codes.ends_with("421"));
    }
  }
}

TEST_CASE("an HTTP method is text inside a message") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto server = in_data();
    support::feed(server, "Subject: x\r\n\r\nGET / HTTP/1.1\r\n.\r\n", cut);
    CHECK(codes(server.take_output()) == "250");
    CHECK(server.messages.size() == 1);
  }
}

TEST_CASE("recipients over the limit cost nothing until they are as many as the limit again") {
  auto few = settings();
  few.recipients = 3;
  few.hard_errors = 2;
  const auto rcpt = [](int from, int to) {
    std::string text;
    for (int i = from; i < to; ++i) {
      text += "RCPT TO:<u" + std::to_string(i) + "@d.example>\r\n";
    }
    return text;
  };
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto server = after_ehlo(few);
    support::feed(server, "MAIL FROM:<a@b.example>\r\n" + rcpt(0, 6), cut);
    CHECK(codes(server.take_output()) == "250 250 250 250 452 452 452");
    support::feed(server, rcpt(6, 9), cut);
    CHECK(codes(server.take_output()) == "452 452 421");
  }
  auto next = after_ehlo(few);
  for (int i = 0; i < 3; ++i) {
    next.receive("MAIL FROM:<a@b.example>\r\n" + rcpt(0, 6) + "DATA\r\n.\r\n");
  }
  CHECK(next.messages.size() == 3);
}

TEST_CASE("EHLO and HELO said again count as idle commands") {
  auto strict = settings();
  strict.junk_commands = 3;
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    AutoServer server(strict);
    (void)server.take_output();
    support::feed(server, "EHLO c\r\nEHLO c\r\nHELO c\r\nNOOP\r\nEHLO c\r\nEHLO c\r\n", cut);
    CHECK(codes(server.take_output()) == "250 250 250 250 421");
  }
}

}  // namespace relay::smtp::testing
