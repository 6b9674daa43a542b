#include "relay/smtp/dot_stuffing.h"

#include <vector>

#include <doctest/doctest.h>

using relay::smtp::DotStuffer;
using relay::smtp::DotUnstuffer;

namespace {

std::string stuff(std::string_view content, std::size_t cut) {
  DotStuffer stuffer;
  std::string out;
  for (std::size_t at = 0; at < content.size(); at += cut) {
    stuffer.stuff(content.substr(at, cut), out);
  }
  stuffer.finish(out);
  return out;
}

struct Unstuffed {
  std::string content, left;
  bool ended = false;
};

Unstuffed unstuff(std::string_view wire, std::size_t cut) {
  DotUnstuffer unstuffer;
  Unstuffed result;
  for (std::size_t at = 0; at < wire.size(); at += cut) {
    auto piece = wire.substr(at, cut);
    if (unstuffer.feed(piece, result.content)) {
      result.ended = true;
      result.left = std::string(piece) + std::string(wire.substr(std::min(at + cut, wire.size())));
      return result;
    }
  }
  return result;
}

}  // namespace

TEST_CASE("every line-leading dot is doubled and only CRLF leaves, whatever the slices") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"", ".\r\n"},
      {"a\r\n", "a\r\n.\r\n"},
      {"a", "a\r\n.\r\n"},
      {".", "..\r\n.\r\n"},
      {".\r\n..\r\nx.\r\n", "..\r\n...\r\nx.\r\n.\r\n"},
      {"a\n.\n", "a\r\n..\r\n.\r\n"},
      {"a\r.\r", "a\r\n..\r\n.\r\n"},
      {"a\r\r\n.b", "a\r\n\r\n..b\r\n.\r\n"},
      {"a\n\r.\r\n", "a\r\n\r\n..\r\n.\r\n"},
      {"\r\n", "\r\n.\r\n"},
  };
  for (const auto& [content, wire] : rows) {
    CAPTURE(content);
    for (const std::size_t cut : {100U, 1U, 2U, 3U}) {
      CHECK(stuff(content, cut) == wire);
    }
  }
}

TEST_CASE("only CRLF.CRLF ends the data, whatever the slices") {
  struct Row {
    std::string wire, content;
    bool ended;
    std::string left;
  };
  const std::vector<Row> rows{
      {".\r\nNEXT", "", true, "NEXT"},
      {"a\r\n.\r\nNEXT", "a\r\n", true, "NEXT"},
      {"a\r\n..\r\n.b\r\n.\r\n", "a\r\n.\r\nb\r\n", true, ""},
      {"a\n.\nb", "a\n.\nb", false, ""},
      {"a\n.\r\nb", "a\n.\r\nb", false, ""},
      {"a\r\n.\nb", "a\r\n\nb", false, ""},
      {"a\r.\rb", "a\r.\rb", false, ""},
      {"a\r.\r\nb", "a\r.\r\nb", false, ""},
      {"a\r\n.\rb", "a\r\n\rb", false, ""},
      {"a\r\r\n.\r\n", "a\r\r\n", true, ""},
      {"a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", true, ""},
      {std::string("a\r\n\0.\r\nb", 8), std::string("a\r\n\0.\r\nb", 8), false, ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.wire);
    for (const std::size_t cut : {100U, 1U, 2U, 3U}) {
      const auto result = unstuff(row.wire, cut);
      CHECK(result.content == row.content);
      CHECK(result.ended == row.ended);
      CHECK(result.left == row.left);
    }
  }
}
