#include "relay/message/dkim_stream.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/message/author_domain.h"
#include "relay/message/digest.h"
#include "relay/message/dkim_canonical.h"
#include "tests/relay/message/dkim_fixture.h"

namespace relay::message {

TEST_CASE("a body in slices of any cut has the hash of the body as a whole") {
  const std::vector<std::string> bodies{
      "",
      "\r\n",
      "\r\n\r\n\r\n",
      "Hello.\r\n",
      "Hello.",
      " C \r\nD \t E\r\n\r\n\r\n",
      "\r\n \t\r\nx\r\n\r\n\ty  z \r\n \r\n",
      "a \r",
      "a\rb \r\n",
      std::string(200'000, 'x') + "\r\n" + std::string(70'000, ' ') + "y\r\n"};
  for (const std::string& body : bodies) {
    CAPTURE(body.size());
    for (const std::size_t cut : {std::size_t{1}, std::size_t{3}, std::size_t{65'536}}) {
      DkimStream stream;
      const std::string message = "From: a@b.example\r\nSubject: x\r\n y\r\n\r\n" + body;
      for (std::size_t at = 0; at < message.size(); at += cut) {
        stream.add(std::string_view(message).substr(at, cut));
      }
      CHECK(stream.header() == "From: a@b.example\r\nSubject: x\r\n y");
      CHECK(stream.body_hash() == sha256(relaxed_body(body)));
    }
  }
}

TEST_CASE("a message without a header, and one without a body") {
  DkimStream body_only;
  body_only.add("\r\nbody\r\n");
  CHECK(body_only.header().empty());
  CHECK(body_only.body_hash() == sha256("body\r\n"));
  DkimStream header_only;
  header_only.add("From: a@b.example\r\n");
  CHECK(message_parts(header_only.header()).fields.size() == 1);
  CHECK(header_only.body_hash() == sha256(""));
}

TEST_CASE("the author's domain is that of the address in From, whatever stands around it") {
  struct Row {
    std::string field, domain;
  };
  const std::vector<Row> rows{
      {"From: a@Example.ORG", "example.org"},
      {"From: Ann <a@example.org>", "example.org"},
      {"From: \"x@y.example\" <a@example.org>", "example.org"},
      {"From: x@y.example <a@example.org>", "example.org"},
      {"from:\r\n =?utf-8?q?A?= (at @ home) <\"a<b\"@example.org>", "example.org"},
      {"From: <a@example.org>, <b@other.example>", "example.org"},
      {"From: nobody", ""},
      {"Sender: a@example.org", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.field);
    CHECK(author_domain({row.field}) == row.domain);
  }
  CHECK(author_domain({"From: a@a.example", "From: b@b.example"}).empty());
}

TEST_CASE("whether a domain has signed already") {
  const std::vector<std::string_view> fields{"From: a@b.example",
                                             "DKIM-Signature: v=1; d=B.example; s=x; b=y"};
  CHECK(signed_by(fields, "b.example"));
  CHECK_FALSE(signed_by(fields, "example"));
}

}  // namespace relay::message
