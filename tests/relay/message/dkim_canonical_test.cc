#include "relay/message/dkim_canonical.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace {

using relay::message::message_parts;
using relay::message::MessageParts;
using relay::message::relaxed_body;
using relay::message::relaxed_field;
using relay::message::signing_input;
using Fields = std::vector<std::string_view>;

// RFC 6376 §3.4.5, example 1.
constexpr std::string_view kExample =
    "A: X\r\n"
    "B : Y\t\r\n"
    "\tZ  \r\n"
    "\r\n"
    " C \r\n"
    "D \t E\r\n"
    "\r\n"
    "\r\n";

TEST_CASE("relaxed: the example of RFC 6376 §3.4.5") {
  const MessageParts parts = message_parts(kExample);
  REQUIRE(parts.fields.size() == 2);
  CHECK(relaxed_field(parts.fields[0]) == "a:X");
  CHECK(relaxed_field(parts.fields[1]) == "b:Y Z");
  CHECK(relaxed_body(parts.body) == " C\r\nD E\r\n");
}

TEST_CASE("relaxed: header fields (RFC 6376 §3.4.2)") {
  struct Row {
    const char* field;
    const char* relaxed;
  };
  for (const Row& row : {
           Row{"SUBJect:AbC", "subject:AbC"},
           Row{"Subject:\t AbC\t ", "subject:AbC"},
           Row{"Subject \t:  a \t b\tc", "subject:a b c"},
           Row{"Subject: a\r\n\tb\r\n  c\r\n ", "subject:a b c"},
           Row{"Subject:\r\n a", "subject:a"},
           Row{"Subject:", "subject:"},
           Row{"Subject: \t", "subject:"},
           Row{"Subject: 10:30: later", "subject:10:30: later"},
           Row{"Subject: J\xc3\xb6rg", "subject:J\xc3\xb6rg"},
       }) {
    CAPTURE(row.field);
    CHECK(relaxed_field(row.field) == row.relaxed);
  }
}

TEST_CASE("relaxed: bodies (RFC 6376 §3.4.4)") {
  struct Row {
    const char* body;
    const char* relaxed;
  };
  for (const Row& row : {
           Row{"", ""},
           Row{"\r\n", ""},
           Row{"\r\n\r\n\r\n", ""},
           Row{" \t\r\n \r\n", ""},
           Row{"a", "a\r\n"},
           Row{"a\r\n", "a\r\n"},
           Row{"a\r\n\r\n \t\r\n", "a\r\n"},
           Row{"\r\n\r\na\r\n", "\r\n\r\na\r\n"},
           Row{"a\r\n \r\n\t\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"},
           Row{"\t a \t b\t\r\n", " a b\r\n"},
           Row{"a \r\n\r\n b", "a\r\n\r\n b\r\n"},
           Row{"a\rb\nc\r\n", "a\rb\nc\r\n"},
       }) {
    CAPTURE(row.body);
    CHECK(relaxed_body(row.body) == row.relaxed);
  }
}

TEST_CASE("a message is its fields and what follows the first empty line") {
  struct Row {
    const char* message;
    Fields fields;
    const char* body;
  };
  for (const Row& row : {
           Row{"A: 1\r\n 2\r\nB: 3\r\n\r\nC: 4\r\n\r\n", {"A: 1\r\n 2", "B: 3"}, "C: 4\r\n\r\n"},
           Row{"A: 1\r\n\t\r\n 2\r\n\r\n", {"A: 1\r\n\t\r\n 2"}, ""},
           Row{"A: 1\r\n", {"A: 1"}, ""},
           Row{"A: 1", {"A: 1"}, ""},
           Row{"\r\nbody", {}, "body"},
           Row{"", {}, ""},
       }) {
    CAPTURE(row.message);
    const MessageParts parts = message_parts(row.message);
    CHECK(parts.fields == row.fields);
    CHECK(parts.body == row.body);
  }
}

TEST_CASE("names in h= take the fields from below, one for each mention (RFC 6376 §5.4.2)") {
  const Fields fields{"X: 1", "From: f", "x : 2", "Y: 3", "X: 4"};
  struct Row {
    std::vector<std::string> names;
    const char* input;
  };
  for (const Row& row : {
           Row{{"from"}, "from:f\r\n"},
           Row{{"x"}, "x:4\r\n"},
           Row{{"x", "y", "X"}, "x:4\r\ny:3\r\nx:2\r\n"},
           Row{{"x", "x", "x", "x"}, "x:4\r\nx:2\r\nx:1\r\n"},
           Row{{"absent", "from"}, "from:f\r\n"},
           Row{{}, ""},
       }) {
    CHECK(signing_input(fields, row.names, "DKIM-Signature: v=1;\r\n b=") ==
          std::string(row.input) + "dkim-signature:v=1; b=");
  }
}

}  // namespace
