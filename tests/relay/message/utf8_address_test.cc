#include "relay/message/utf8_address.h"

#include <string>

#include <doctest/doctest.h>

using relay::message::ascii_address;
using relay::message::unicode_address;

TEST_CASE("RFC 6533 section 3: characters and their embedded forms") {
  struct Row {
    std::string ascii, unicode;
  };
  for (const Row& row :
       {Row{"plain@d.example", "plain@d.example"}, Row{"j\\x{FC}rgen", "j\xc3\xbcrgen"},
        Row{"\\x{20AC}", "\xe2\x82\xac"}, Row{"\\x{1F4E7}", "\xf0\x9f\x93\xa7"},
        Row{"a\\x{2B}b\\x{3D}\\x{5C}", "a+b=\\"}, Row{"\\x{20}", " "}}) {
    CHECK(unicode_address(row.ascii) == row.unicode);
    CHECK(ascii_address(row.unicode) == row.ascii);
  }
}

TEST_CASE("what is no embedded character stays, what is no UTF-8 becomes a question mark") {
  for (const char* text :
       {"\\x{}", "\\x{D800}", "\\x{110000}", "\\x{1234567}", "\\x{FC", "\\x{G}", "\\", "\\x{-1}"}) {
    CAPTURE(text);
    CHECK(unicode_address(text) == text);
  }
  CHECK(ascii_address("a\xff\xc3") == "a??");
  CHECK(ascii_address("\xed\xa0") == "??");
}
