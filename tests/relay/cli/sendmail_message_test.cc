#include "relay/cli/sendmail_message.h"

#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using relay::cli::HeaderLines;
using relay::cli::prepare_submission;
using relay::cli::SendmailOptions;
using relay::cli::Submitter;
using relay::cli::TextLines;

const Submitter kRoot{"root", "", "host.example"};

/// The lines of a text that arrives in pieces, with "|" between.
std::string cut_into_lines(const std::string& text, std::size_t cut) {
  TextLines lines;
  std::string result;
  const auto take = [&](TextLines::Input input) {
    while (const auto line = lines.next(input)) {
      result += *line + "|";
    }
  };
  for (std::size_t at = 0; at < text.size(); at += cut) {
    lines.receive(std::string_view(text).substr(at, cut));
    take(TextLines::Input::goes_on);
  }
  take(TextLines::Input::at_end);
  return result;
}

TEST_CASE("sendmail: lines end in LF or CRLF, the last one perhaps in nothing") {
  for (const std::size_t cut : {std::size_t{1}, std::size_t{2}, std::size_t{100'000}}) {
    CHECK(cut_into_lines("a\nb\r\n\n\r\nc", cut) == "a|b|||c|");
    CHECK(cut_into_lines("a\rb\n", cut) == "a\rb|");
    CHECK(cut_into_lines("a\r", cut) == "a|");
    CHECK(cut_into_lines("", cut).empty());
  }
  std::string big;
  for (int i = 0; i < 20'000; ++i) {
    big += "0123456789\n";
  }
  CHECK(cut_into_lines(big, 1000).size() == big.size());
}

std::vector<std::string> fields_of(const std::vector<std::string>& lines) {
  HeaderLines header;
  for (const auto& line : lines) {
    CHECK(header.take(line) == HeaderLines::Next::more);
  }
  return header.fields();
}

TEST_CASE("sendmail: the header section ends at an empty line, or where no field is") {
  HeaderLines header;
  CHECK(header.take("From someone Thu Jan 1") == HeaderLines::Next::more);
  CHECK(header.take("A: b") == HeaderLines::Next::more);
  CHECK(header.take("\tc\rX: y") == HeaderLines::Next::more);
  CHECK(header.take("just text") == HeaderLines::Next::body);
  CHECK(header.fields() == std::vector<std::string>{"A: b\r\n\tc X: y"});
  HeaderLines none;
  CHECK(none.take(" blank first") == HeaderLines::Next::body);
  CHECK(HeaderLines().take("") == HeaderLines::Next::body);
}

TEST_CASE("sendmail -t: all of To, Cc and Bcc get it, and Bcc is seen by nobody") {
  SendmailOptions options;
  options.recipients_from = SendmailOptions::Recipients::also_of_header;
  options.recipients = {"given@d.example"};
  const auto submission = prepare_submission(
      fields_of({"From: root (Cron)", "To: A <a@d.example>,", " b", "bcc: c@d.example,",
                 " d@d.example", "CC: a@d.example", "Subject: x"}),
      options, kRoot);
  REQUIRE(submission);
  CHECK(submission->recipients == std::vector<std::string>{"given@d.example", "a@d.example",
                                                           "b@host.example", "c@d.example",
                                                           "d@d.example"});
  CHECK(submission->header ==
        "From: root@host.example (Cron)\r\nTo: A <a@d.example>,\r\n b\r\nCC: a@d.example\r\n"
        "Subject: x\r\n");
  CHECK(submission->sender == "root@host.example");
}

TEST_CASE("sendmail -t: what is sent again goes to its new recipients only") {
  SendmailOptions options;
  options.recipients_from = SendmailOptions::Recipients::also_of_header;
  const auto submission = prepare_submission(
      fields_of({"Resent-From: r@d.example", "Resent-To: n@d.example", "Resent-Bcc: h@d.example",
                 "From: a@d.example", "To: old@d.example"}),
      options, kRoot);
  REQUIRE(submission);
  CHECK(submission->recipients == std::vector<std::string>{"n@d.example", "h@d.example"});
  CHECK(submission->header.find("Resent-Bcc") == std::string::npos);
}

TEST_CASE("sendmail without -t leaves Bcc alone, and asks nothing of the header") {
  SendmailOptions options;
  options.recipients = {"x@d.example, y"};
  const auto submission =
      prepare_submission(fields_of({"From: a@d.example", "Bcc: z@d.example"}), options, kRoot);
  REQUIRE(submission);
  CHECK(submission->recipients == std::vector<std::string>{"x@d.example", "y@host.example"});
  CHECK(submission->header == "From: a@d.example\r\nBcc: z@d.example\r\n");
}

TEST_CASE("sendmail: a missing From is made of sender and name") {
  struct Row {
    std::optional<std::string> sender;
    std::string name, full_name, from;
  };
  for (const auto& row :
       {Row{std::nullopt, "", "", "From: root@host.example\r\n"},
        Row{std::nullopt, "", "The Root", "From: The Root <root@host.example>\r\n"},
        Row{"a@b.example", "A \"x\"", "The Root", "From: \"A \\\"x\\\"\" <a@b.example>\r\n"},
        Row{"", "", "", "From: root@host.example\r\n"}}) {
    SendmailOptions options;
    options.recipients = {"x@d.example"};
    options.sender = row.sender;
    options.full_name = row.name;
    const auto submission =
        prepare_submission({}, options, {"root", row.full_name, "host.example"});
    REQUIRE(submission);
    CHECK(submission->header == row.from);
    CHECK(submission->sender == row.sender.value_or("root@host.example"));
  }
}

TEST_CASE("sendmail: nobody to send to is an error that says what to do") {
  SendmailOptions options;
  CHECK(prepare_submission({}, options, kRoot).error().find("use -t") != std::string::npos);
  options.recipients_from = SendmailOptions::Recipients::also_of_header;
  CHECK(prepare_submission({"Subject: x"}, options, kRoot).error().find("name nobody") !=
        std::string::npos);
  CHECK(prepare_submission({"To: a b c"}, options, kRoot).error().find("cannot be read") !=
        std::string::npos);
  options.recipients = {"<broken"};
  CHECK(prepare_submission({}, options, kRoot).error() == "\"<broken\" is no address");
}

}  // namespace
