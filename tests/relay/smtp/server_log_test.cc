// ServerSession: what the log is told of refusals and of ends that are not QUIT.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {
namespace {

/// "stage sender recipients reply|end" of each, "-" for what is empty; then they are gone.
std::vector<std::string> told(AutoServer& server) {
  const auto shown = [](const std::string& text) { return text.empty() ? "-" : text; };
  std::vector<std::string> result;
  for (const auto& one : server.session.take_rejections()) {
    result.push_back(shown(one.stage) + " " + shown(one.sender) + " " + shown(one.recipients) +
                     " " + one.reply + "|" + one.end);
  }
  return result;
}

const std::string kMail = "MAIL FROM:<a@b.example>\r\n";
const std::string kEnvelope = kMail + "RCPT TO:<x@d.example>\r\n";

}  // namespace

TEST_CASE("a refusal is told with the sender and recipients of its own transaction") {
  struct Row {
    std::string input, told;
  };
  const std::string other = "RSET\r\nMAIL FROM:<other@b.example>\r\n";
  const std::vector<Row> rows{
      {"RCPT TO:<x@d.example>\r\n" + kMail, "RCPT - - 503 5.5.1 MAIL first|"},
      {kMail + "RCPT TO:<x>\r\n" + other, "RCPT a@b.example - 550 5.1.3 Address without a domain|"},
      {kMail + "RCPT TO:<x@[192.0.2.1]>\r\n" + other,
       "RCPT a@b.example x@[192.0.2.1] 550 5.1.2 No mail to address literals|"},
      {"MAIL FROM:<>\r\nRCPT TO:<x>\r\n" + other, "RCPT <> - 550 5.1.3 Address without a domain|"},
      {"MAIL FROM:<a@b.example> SIZE=100001\r\n" + kMail,
       "MAIL a@b.example - 552 5.3.4 Message larger than 100000 octets|"},
      {kMail + "DATA\r\n" + other, "DATA a@b.example - 554 5.5.1 No valid recipients|"},
      {kEnvelope + "RCPT TO:<y@d.example>\r\nDATA\r\na: b\r\n\r\n" + std::string(999, 'x') +
           "\r\n.\r\nMAIL FROM:<other@b.example>\r\n",
       "content a@b.example x@d.example,y@d.example 550 5.6.0 Line longer than 998 octets|"},
      {kEnvelope + "BDAT 4 LAST\r\na\nb\nMAIL FROM:<other@b.example>\r\n",
       "content a@b.example x@d.example 550 5.5.2 Bare <CR> or <LF> in message: lines end in "
       "<CR><LF>|"},
      {"BDAT 4 LAST\r\nabcd" + kMail, "BDAT - - 503 5.5.1 MAIL first|"},
      {kMail + "BDAT 4 LAST\r\nabcd" + other, "BDAT a@b.example - 554 5.5.1 No valid recipients|"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.input);
      auto server = after_ehlo();
      support::feed(server, row.input, cut);
      CHECK(told(server) == std::vector{row.told});
    }
  }
}

TEST_CASE("content that the store did not take is told with its envelope") {
  auto full = after_ehlo();
  full.stored = Room::disk_full;
  full.receive(kEnvelope + "DATA\r\n.\r\n" + "MAIL FROM:<other@b.example>\r\n");
  CHECK(told(full) ==
        std::vector<std::string>{
            "content a@b.example x@d.example 452 4.3.1 Insufficient system storage|"});
}

TEST_CASE("every end but QUIT is told once, with its stage and a reason in a word") {
  struct Row {
    std::string input, told;
  };
  auto strict = settings();
  strict.junk_commands = 1;
  strict.hard_errors = 2;
  const std::string name = " relay.example ";
  const std::string longest(3000, 'x');
  const std::vector<Row> rows{
      {"NOOP\r\nNOOP\r\n", "command - - 421 4.7.0" + name + "Too many idle commands|junk"},
      {kMail + "NOOP\r\nNOOP\r\n",
       "MAIL a@b.example - 421 4.7.0" + name + "Too many idle commands|junk"},
      {kMail + "GET / HTTP/1.1\r\n",
       "MAIL a@b.example - 421 4.7.0" + name + "This is an SMTP port|http"},
      {std::string("\0\r\n", 3), "command - - 421 4.7.0" + name + "Closing|nul"},
      {"A\r\nB\r\n", "command - - 421 4.7.0" + name + "Too many errors|errors"},
      {kMail + "RCPT TO:<>\r\nBDAT 1\r\nx",
       "BDAT a@b.example - 421 4.7.0" + name + "Too many errors|errors"},
      {kEnvelope + "BDAT x\r\n", "BDAT a@b.example - 421 4.7.0" + name + "Out of step|out-of-step"},
      {kEnvelope + "DATA\r\na\nb\r\n.\r\n",
       "content a@b.example - 421 4.7.0" + name + "Closing|smuggling"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.input);
      auto server = after_ehlo(strict);
      support::feed(server, row.input, cut);
      CHECK(server.session.demand() == Demand::close);
      auto lines = told(server);
      REQUIRE_FALSE(lines.empty());
      CHECK(lines.back() == row.told);
    }
  }
  auto wordy = after_ehlo();
  wordy.receive(longest + "\r\n" + longest + "\r\n" + longest + "\r\n");
  CHECK(told(wordy).back() == "command - - 421 4.7.0" + name + "Too many long lines|line-length");
  AutoServer tls(settings());
  tls.receive("\x16\x03\x01");
  CHECK(told(tls).back() == "connect - - 421 4.7.0" + name + "This is an SMTP port|tls-hello");
  auto polite = after_ehlo();
  polite.receive(kMail + "QUIT\r\n");
  CHECK(told(polite).empty());
}

TEST_CASE("overrun time is told by its kind and where it happened") {
  struct Row {
    Overrun overrun;
    std::string input, told;
  };
  const std::string name = " relay.example ";
  const std::vector<Row> rows{
      {Overrun::silence, "", "connect - - 421 4.4.2" + name + "Timeout|silence"},
      {Overrun::silence, "EHLO c\r\nNOO", "command - - 421 4.4.2" + name + "Timeout|silence"},
      {Overrun::session, "EHLO c\r\n" + kEnvelope,
       "RCPT a@b.example - 421 4.4.2" + name + "Session lasted too long|session"},
      {Overrun::session, "EHLO c\r\n" + kEnvelope + "DATA\r\nhalf",
       "DATA a@b.example - 421 4.4.2" + name + "Session lasted too long|session"},
      {Overrun::rate, "EHLO c\r\n" + kEnvelope + "BDAT 100\r\nhalf",
       "BDAT a@b.example - 421 4.4.2" + name + "Message comes too slowly|rate"},
  };
  for (const auto& row : rows) {
    AutoServer server(settings());
    server.receive(row.input);
    (void)server.take_output();
    server.session.timed_out(row.overrun);
    CHECK(codes(server.take_output()) == "421");
    CHECK(server.session.demand() == Demand::close);
    CHECK(told(server) == std::vector{row.told});
  }
}

TEST_CASE("a lost client is told if it left something unfinished") {
  struct Row {
    std::string input, told;
  };
  const std::vector<Row> rows{
      {"", ""},
      {"EHLO c\r\n", ""},
      {"EHL", "connect - - reset by peer|lost"},
      {"EHLO c\r\nNOOP " + std::string(600, 'x'), "command - - reset by peer|lost"},
      {"EHLO c\r\n" + kMail, "MAIL a@b.example - reset by peer|lost"},
      {"EHLO c\r\n" + kEnvelope + "DATA\r\n", "DATA a@b.example - reset by peer|lost"},
      {"EHLO c\r\n" + kEnvelope + "BDAT 9\r\nx", "BDAT a@b.example - reset by peer|lost"},
      {"EHLO c\r\n" + kEnvelope + "BDAT 1\r\nx", "BDAT a@b.example - reset by peer|lost"},
      {"EHLO c\r\n" + kEnvelope + "DATA\r\n.\r\n", ""},
      {"QUIT\r\n", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.input);
    AutoServer server(settings());
    server.receive(row.input);
    server.session.lost("reset by peer");
    const auto lines = told(server);
    CHECK((lines.empty() ? std::string() : lines.front()) == row.told);
    CHECK(server.session.demand() == Demand::close);
    CHECK_FALSE(server.session.receiving());
  }
}

TEST_CASE("a refused BDAT takes part in the delay after too many errors") {
  auto strict = settings();
  strict.soft_errors = 1;
  auto server = after_ehlo(strict);
  server.receive("BDAT 1\r\nxBDAT 1 LAST\r\nx");
  CHECK(server.pauses == 1);
  CHECK(codes(server.take_output()) == "503 503");
}

}  // namespace relay::smtp::testing
