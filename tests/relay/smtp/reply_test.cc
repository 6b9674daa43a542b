#include "relay/smtp/reply.h"

#include <string>

#include <doctest/doctest.h>

#include "relay/smtp/extensions.h"
#include "tests/support/dialogue.h"

using relay::smtp::Extensions;
using relay::smtp::Reply;
using relay::smtp::ReplyParser;

namespace {

struct Outcome {
  std::string text;  ///< Reply::text(), "more" or "fault: reason"
  std::string left;
};

Outcome parse(std::string_view bytes) {
  ReplyParser parser;
  auto reply = parser.feed(bytes);
  if (!reply) {
    return {"fault: " + reply.error().reason, std::string(bytes)};
  }
  return {*reply ? (**reply).text() : "more", std::string(bytes)};
}

std::string parse_bytewise(std::string_view bytes) {
  ReplyParser parser;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto one = bytes.substr(i, 1);
    auto reply = parser.feed(one);
    if (!reply) {
      return "fault: " + reply.error().reason;
    }
    if (*reply) {
      return (**reply).text();
    }
  }
  return "more";
}

}  // namespace

TEST_CASE("replies are read as servers write them, in any fragmentation") {
  struct Row {
    std::string bytes, text, left;
  };
  const std::vector<Row> rows{
      {"220 mx ready\r\n", "220 mx ready", ""},
      {"220 mx ready\n", "220 mx ready", ""},
      {"250\r\n", "250", ""},
      {"250 \r\n", "250", ""},
      {"250-mx\r\n250-SIZE 5\r\n250 DSN\r\n250 next", "250 mx SIZE 5 DSN", "250 next"},
      {"250-\r\n250\r\n", "250", ""},
      {"550 5.1.1 no\x01\xff such\tuser\r\n", "550 5.1.1 no?? such?user", ""},
      {"220 mx", "more", ""},
      {"250-mx\r\n", "more", ""},
      {"150 odd\r\n", "fault: reply code 150 outside 200 to 599", ""},
      {"600 odd\r\n", "fault: reply code 600 outside 200 to 599", ""},
      {"250-a\r\n550 b\r\n", "fault: reply codes 250 and 550 in one reply", ""},
      {"<html>\r\n", "fault: no three-digit code: \"<html>\"", ""},
      {"25 x\r\n", "fault: no three-digit code: \"25 x\"", ""},
      {"250x\r\n", "fault: no three-digit code: \"250x\"", ""},
      {"\r\n", "fault: no three-digit code: \"\"", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.bytes);
    const auto outcome = parse(row.bytes);
    CHECK(outcome.text == row.text);
    CHECK(outcome.left == row.left);
    CHECK(parse_bytewise(row.bytes) == row.text);
  }
}

TEST_CASE("a reply may have 100 lines and 64 KiB, not more") {
  std::string lines;
  for (int i = 0; i < 99; ++i) {
    lines += "250-x\r\n";
  }
  CHECK(parse(lines + "250 x\r\n").text.starts_with("250 x"));
  CHECK(parse(lines + "250-x\r\n250 x\r\n").text == "fault: reply of more than 100 lines");
  CHECK(parse("250 " + std::string(65'530, 'x') + "\r\n").text.size() == 512);
  CHECK(parse("250 " + std::string(65'536, 'x')).text == "fault: reply of more than 65536 octets");
}

TEST_CASE("an enhanced code counts when its class matches the reply code") {
  const auto code = [](int reply, std::string line) {
    return Reply{reply, {std::move(line)}}.enhanced_code();
  };
  CHECK(code(550, "5.1.1 no such user") == "5.1.1");
  CHECK(code(550, "5.7.999") == "5.7.999");
  CHECK(code(450, "4.2.1 busy") == "4.2.1");
  CHECK(code(550, "4.2.1 busy").empty());
  CHECK(code(354, "3.0.0 go").empty());
  CHECK(code(550, "5.1 no").empty());
  CHECK(code(550, "5.1.1.1 no").empty());
  CHECK(code(550, "5.1234.1 no").empty());
  CHECK(code(550, "5.1.").empty());
  CHECK(code(550, "").empty());
  CHECK(Reply{550, {}}.enhanced_code().empty());
}

TEST_CASE("EHLO keywords are found in any case, malformed parameters count as absent") {
  const auto all =
      Extensions::parse({250,
                         {"SIZE is my name", "pipelining", "8BITMIME", "SMTPUTF8", "STARTTLS",
                          "DSN", "ENHANCEDSTATUSCODES", "CHUNKING", "size 1000",
                          "LIMITS RCPTMAX=20 MAILMAX=x rcptdomainmax=1", "X-UNKNOWN"}});
  CHECK(all.pipelining);
  CHECK(all.eight_bit_mime);
  CHECK(all.smtputf8);
  CHECK(all.starttls);
  CHECK(all.dsn);
  CHECK(all.size);
  CHECK(all.size_limit == 1000);
  CHECK(all.rcpt_max == 20);
  CHECK_FALSE(all.mail_max.has_value());
  const auto none = Extensions::parse({250, {"STARTTLS"}});
  CHECK_FALSE(none.starttls);
  CHECK_FALSE(Extensions::parse({250, {"mx", "SIZE 0"}}).size_limit.has_value());
  CHECK_FALSE(Extensions::parse({250, {"mx", "SIZE 99999999999999999999"}}).size_limit.has_value());
}
