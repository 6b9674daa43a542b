#include "relay/message/dkim_signer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "relay/message/digest.h"
#include "relay/message/dkim_canonical.h"
#include "tests/relay/message/dkim_fixture.h"

namespace {

using relay::message::base64;
using relay::message::DkimField;
using relay::message::DkimSigner;
using relay::message::message_parts;
using relay::message::MessageParts;
using relay::message::relaxed_body;
using relay::message::sha256;
using relay::message::sign;
using relay::message::signing_input;
using relay::message::Time;
using support::dkim_file;
using support::fits;
using support::names;
using support::rfc_key;
using support::tags;

constexpr Time kNow{std::chrono::milliseconds(1528637909'750)};

const std::string kMessage =
    "Received: from b\r\n\tby c\r\n"
    "Received: from a by b\r\n"
    "From: Reports <reports@sender.example>\r\n"
    "To:  reports@rcpt.example\r\n"
    "Subject: Report Domain: rcpt.example\r\n"
    " Submitter:\tsender.example\r\n"
    "TLS-Report-Domain: rcpt.example\r\n"
    "\r\n"
    "Two  words.\r\n"
    "\r\n"
    "The end.\r\n";

std::string with_crlf(const std::string& text) {
  std::string result;
  for (const char c : text) {
    result += c == '\n' ? "\r\n" : std::string(1, c);
  }
  return result;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

DkimSigner signer(const std::string& algorithm) {
  return {"sender.example", "s2026", rfc_key(algorithm)};
}

// The field without its CRLF.
std::string signature(const DkimSigner& with, const std::string& message) {
  const std::string field = sign(with, message, kNow);
  REQUIRE(field.ends_with("\r\n"));
  return field.substr(0, field.size() - 2);
}

TEST_CASE("the signatures of RFC 8463 §A.3 are what the RFC's keys give for its fields") {
  const std::string text = with_crlf(dkim_file("rfc8463.eml"));
  const MessageParts parts = message_parts(text);
  REQUIRE(parts.fields.size() == 7);
  const std::array<const char*, 2> algorithms{"ed25519", "rsa"};
  for (std::size_t i = 0; i < 2; ++i) {
    CAPTURE(algorithms.at(i));
    const std::string_view published = parts.fields[i];
    const auto tag = tags(published);
    CHECK(base64(sha256(relaxed_body(parts.body))) == tag.at("bh"));
    const auto input = signing_input(parts.fields, names(tag.at("h")),
                                     published.substr(0, published.rfind(" b=") + 3));
    const auto key = rfc_key(algorithms.at(i));
    CHECK(base64(key.sign(input)) == tag.at("b"));
    CHECK(fits(published, text, key.public_record()));
  }
}

TEST_CASE("a signature has the tags it needs and no others") {
  for (const char* algorithm : {"rsa", "ed25519"}) {
    const auto tag = tags(signature(signer(algorithm), kMessage));
    std::vector<std::string> present;
    for (const auto& [name, value] : tag) {
      present.push_back(name);
    }
    CHECK(present == std::vector<std::string>{"a", "b", "bh", "c", "d", "h", "s", "t", "v"});
    CHECK(tag.at("v") == "1");
    CHECK(tag.at("a") == std::string(algorithm) + "-sha256");
    CHECK(tag.at("c") == "relaxed/relaxed");
    CHECK(tag.at("d") == "sender.example");
    CHECK(tag.at("s") == "s2026");
    CHECK(tag.at("t") == "1528637909");
  }
}

TEST_CASE("a signature fits its message, and no longer once a signed octet has changed") {
  const std::vector<std::pair<std::string, std::string>> changes{
      {"Two", "Too"},
      {"The end.\r\n", "The end.\r\nP.S.\r\n"},
      {"Two  words", "Twowords"},
      {"Subject: Report", "Subject: report"},
      {"TLS-Report-Domain: rcpt", "TLS-Report-Domain: rcpu"},
      {"From: Reports", "From: Report"},
      {"To:  reports@rcpt.example\r\n", ""},
  };
  for (const char* algorithm : {"rsa", "ed25519"}) {
    CAPTURE(algorithm);
    const DkimSigner with = signer(algorithm);
    const std::string field = signature(with, kMessage);
    const std::string key = with.key.public_record();
    CHECK(fits(field, kMessage, key));
    for (const auto& [from, to] : changes) {
      CAPTURE(from);
      CHECK_FALSE(fits(field, replaced(kMessage, from, to), key));
    }
    CHECK_FALSE(fits(replaced(field, "t=1528637909", "t=1528637908"), kMessage, key));
  }
}

TEST_CASE("a signature survives what relays do to blanks, folds and other fields") {
  const DkimSigner with = signer("ed25519");
  const std::string field = signature(with, kMessage);
  for (const std::string& altered :
       {replaced(kMessage, "Two  words.", "Two \twords. \t"),
        replaced(kMessage, "\r\n Submitter:\t", "\tSubmitter:\r\n  "),
        replaced(kMessage, "To:  ", "TO :"), kMessage + "\r\n\r\n",
        kMessage.substr(0, kMessage.size() - 2), "Received: from c by d\r\n" + kMessage,
        replaced(kMessage, "Received: from a by b\r\n", "")}) {
    CAPTURE(altered);
    CHECK(fits(field, altered, with.key.public_record()));
  }
  CHECK(fits(replaced(field, "; ", ";\r\n\t "), kMessage, with.key.public_record()));
}

TEST_CASE("by default the fields of a report are signed, and none can be added") {
  const DkimSigner with = signer("ed25519");
  const std::string field = signature(with, kMessage);
  CHECK(tags(field).at("h") ==
        "from:from:to:to:subject:subject:date:message-id:mime-version:content-type:"
        "tls-report-domain:tls-report-domain:tls-report-submitter:auto-submitted:tls-required");
  for (const DkimField& one : relay::message::dkim_report_fields()) {
    CAPTURE(one.name);
    for (const std::string& more :
         {one.name + ": x\r\n" + kMessage,
          replaced(kMessage, "\r\n\r\n", "\r\n" + one.name + ": x\r\n\r\n")}) {
      CHECK_FALSE(fits(field, more, with.key.public_record()));
    }
  }
}

TEST_CASE(
    "other lists: From is always signed, fields that may be added are named as often as present") {
  using Addition = DkimField::Addition;
  struct Row {
    std::vector<DkimField> fields;
    const char* names;
  };
  for (const Row& row : {
           Row{{}, "from:from"},
           Row{{{"FROM", Addition::allowed}}, "from"},
           Row{{{"Received", Addition::allowed}}, "from:from:received:received"},
           Row{{{"From"}, {"Received"}, {"List-Id", Addition::allowed}},
               "from:from:received:received:received"},
       }) {
    DkimSigner with = signer("ed25519");
    with.fields = row.fields;
    const std::string field = signature(with, kMessage);
    CHECK(tags(field).at("h") == row.names);
    CHECK(fits(field, kMessage, with.key.public_record()));
  }
}

TEST_CASE("bodies: none, only blank lines, no line end; the hash of nothing is the RFC's") {
  const DkimSigner with = signer("ed25519");
  // RFC 6376 §3.4.4.
  const std::string nothing = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
  const std::string header = "From: a@sender.example\r\n";
  struct Row {
    std::string message;
    bool empty;
  };
  for (const Row& row : {Row{header, true}, Row{header + "\r\n", true},
                         Row{header + "\r\n\r\n \r\n", true}, Row{header + "\r\nx", false}}) {
    CAPTURE(row.message);
    const std::string field = signature(with, row.message);
    CHECK((tags(field).at("bh") == nothing) == row.empty);
    CHECK(fits(field, row.message, with.key.public_record()));
  }
}

TEST_CASE("lines have at most 76 columns and begin with one blank when they go on") {
  for (const char* algorithm : {"rsa", "ed25519"}) {
    for (const std::size_t label : {1U, 20U, 40U, 63U}) {
      CAPTURE(label);
      DkimSigner with = signer(algorithm);
      with.domain = std::string(label, 'd') + ".example";
      with.selector = std::string(label, 's');
      const std::string field = signature(with, kMessage);
      std::string_view rest = field;
      while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find("\r\n"));
        rest.remove_prefix(std::min(line.size() + 2, rest.size()));
        CHECK(line.size() <= 76);
        CHECK((line.starts_with("DKIM-Signature: v=1;") ||
               (line.size() > 1 && line[0] == ' ' && line[1] != ' ')));
      }
      CHECK(fits(field, kMessage, with.key.public_record()));
    }
  }
}

TEST_CASE("two signers give two fields that each fit, in order, the same octets every time") {
  const std::vector<DkimSigner> both{signer("rsa"), signer("ed25519")};
  const std::string fields = sign(both, kMessage, kNow);
  CHECK(fields == sign(both[0], kMessage, kNow) + sign(both[1], kMessage, kNow));
  CHECK(fields == sign(both, kMessage, kNow));
  const std::string message = fields + kMessage;
  const MessageParts parts = message_parts(message);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(fits(parts.fields[i], message, both[i].key.public_record()));
    CHECK_FALSE(tags(parts.fields[i]).at("h").find("dkim") != std::string::npos);
  }
}

}  // namespace
