#include "relay/smtp/base64.h"

#include <doctest/doctest.h>

using relay::smtp::base64_decode;

TEST_CASE("base64 is read strictly (RFC 4648 §4, its examples)") {
  struct Row {
    const char* text;
    std::optional<std::string> octets;
  };
  for (const auto& row :
       {Row{"", ""}, Row{"Zg==", "f"}, Row{"Zm8=", "fo"}, Row{"Zm9v", "foo"},
        Row{"Zm9vYg==", "foob"}, Row{"Zm9vYmE=", "fooba"}, Row{"Zm9vYmFy", "foobar"},
        Row{"+/+/", "\xfb\xff\xbf"}, Row{"AGEAYg==", std::string("\0a\0b", 4)},
        Row{"Zg", std::nullopt}, Row{"Zg=", std::nullopt}, Row{"Z===", std::nullopt},
        Row{"Zh==", std::nullopt}, Row{"Zm9=", std::nullopt}, Row{"Zm 9v", std::nullopt},
        Row{"Zm9v\t", std::nullopt}, Row{"Zm-_", std::nullopt}, Row{"====", std::nullopt},
        Row{"Zg==Zg==", std::nullopt}}) {
    CAPTURE(row.text);
    CHECK(base64_decode(row.text) == row.octets);
  }
}
