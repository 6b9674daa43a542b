#include "relay/message/submission_header.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using relay::message::SubmissionFacts;
using relay::message::SubmissionHeader;

const std::string kDate = "Date: NOW\r\n";
const std::string kId = "Message-ID: <1@relay.example>\r\n";

SubmissionFacts both_missing() {
  return {"NOW", "<1@relay.example>", "relay.example", {}};
}

/// In every cut the same.
std::string passed(const SubmissionFacts& with, const std::string& content) {
  std::string whole;
  for (const std::size_t cut : {content.size() + 1, std::size_t{1}, std::size_t{7}}) {
    SubmissionHeader header(with);
    std::string out;
    for (std::size_t at = 0; at < content.size(); at += cut) {
      header.feed(std::string_view(content).substr(at, cut), out);
    }
    header.finish(out);
    if (whole.empty()) {
      whole = out;
    }
    CHECK(out == whole);
  }
  return whole;
}

TEST_CASE("Date and Message-ID are added where they are missing, and nothing else is changed") {
  struct Row {
    std::string content, passed;
  };
  const std::string body = "\r\nDate: in the body\r\n.\r\n";
  const std::vector<Row> rows{
      {"A: b\r\n" + body, "A: b\r\n" + kDate + kId + body},
      {body, kDate + kId + body},
      {"", kDate + kId},
      {"A: b\r\n", "A: b\r\n" + kDate + kId},
      {"A: b\r\n Date: folded\r\n" + body, "A: b\r\n Date: folded\r\n" + kDate + kId + body},
      {"dAtE : x\r\n" + body, "dAtE : x\r\n" + kId + body},
      {"message-id:<x@y>\r\n" + body, "message-id:<x@y>\r\n" + kDate + body},
      {"Message-ID: <x@y>\r\nDate: x\r\n" + body, "Message-ID: <x@y>\r\nDate: x\r\n" + body},
      {"Resent-Date: x\r\n" + body, "Resent-Date: x\r\n" + kDate + kId + body},
      {"Received: x\r\n" + body, "Received: x\r\n" + kDate + kId + body},
  };
  for (const auto& row : rows) {
    CAPTURE(row.content);
    CHECK(passed(both_missing(), row.content) == row.passed);
  }
}

TEST_CASE("mail with a signature is left as it is") {
  auto with = both_missing();
  with.rewrites = {{"host", "@example.com"}};
  for (const char* name : {"DKIM-Signature", "dkim-signature", "ARC-Seal", "ARC-Message-Signature",
                           "DomainKey-Signature"}) {
    for (const bool first : {true, false}) {
      CAPTURE(name);
      const auto signature = std::string(name) + ": v=1;\r\n b=x\r\n";
      const auto content = (first ? signature : "") + "From: root@host\r\nTo: x\r\n" +
                           (first ? "" : signature) + "\r\nbody\r\n";
      CHECK(passed(with, content) == content);
    }
  }
}

TEST_CASE("From gets the other address, and keeps its name and form") {
  auto with =
      SubmissionFacts{{}, {}, "host", {{"root@host", "ops@example.com"}, {"host", "@example.com"}}};
  struct Row {
    std::string from, passed;
  };
  const std::vector<Row> rows{
      {"From: root@host\r\n", "From: ops@example.com\r\n"},
      {"From: root (Cron Daemon)\r\n", "From: ops@example.com (Cron Daemon)\r\n"},
      {"from:\"Ann, B.\"\r\n\t<Ann@Host>\r\n", "from:\"Ann, B.\"\r\n\t<Ann@example.com>\r\n"},
      {"From: a@host, b@other.example, c@host\r\n",
       "From: a@example.com, b@other.example, c@example.com\r\n"},
      {"From: a@other.example\r\n", "From: a@other.example\r\n"},
      {"From: two words\r\n", "From: two words\r\n"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.from);
    for (const char* rest : {"", "To: root@host\r\nX: y\r\n z\r\n"}) {
      CHECK(passed(with, "A: b\r\n" + row.from + rest + "\r\nFrom: root@host\r\n") ==
            "A: b\r\n" + row.passed + rest + "\r\nFrom: root@host\r\n");
    }
    CHECK(passed(with, row.from) == row.passed);
  }
}

TEST_CASE("From of relayed mail, and where there are several, stays") {
  auto with = SubmissionFacts{{}, {}, "host", {{"host", "@example.com"}}};
  for (const char* content :
       {"Received: x\r\nFrom: a@host\r\n\r\n", "From: a@host\r\nReceived: x\r\n\r\n",
        "From: a@host\r\nFrom: b@host\r\n\r\n"}) {
    CAPTURE(content);
    CHECK(passed(with, content) == content);
  }
}

}  // namespace
