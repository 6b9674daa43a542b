// Failure notices made of what clients and servers said: whatever it was, the notice has the parts
// it must have, every line ends and fits, and no text becomes a field. The input is a list of texts
// with NUL between: sender, address, ORCPT, ENVID, status, host, reply, explanation, advice, and
// the original, which has passed ContentCheck as every message has. The first octet chooses
// options.
#include "relay/message/dsn.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "relay/smtp/content_check.h"

namespace {

using relay::message::DsnFacts;
using relay::message::DsnMessage;
using relay::message::DsnRecipient;

std::string next_text(std::string_view& texts) {
  const auto end = std::min(texts.find('\0'), texts.size());
  std::string text(texts.substr(0, end));
  texts.remove_prefix(std::min(end + 1, texts.size()));
  return text;
}

DsnFacts facts(std::string_view& texts, unsigned options) {
  DsnFacts result;
  result.hostname = "relay.example";
  result.id = "N1";
  result.original_id = "M1";
  result.to = next_text(texts);
  DsnRecipient recipient;
  recipient.address = next_text(texts);
  recipient.orcpt = next_text(texts);
  result.envid = next_text(texts);
  recipient.status = next_text(texts);
  recipient.remote_mta = next_text(texts);
  recipient.diagnostic = next_text(texts);
  recipient.explanation = next_text(texts);
  recipient.advice = next_text(texts);
  result.recipients.assign((options & 1U) != 0 ? 2 : 1, recipient);
  result.action = static_cast<relay::message::Action>((options >> 3U) % 3U);
  result.reader =
      (options & 32U) != 0 ? relay::message::Reader::postmaster : relay::message::Reader::sender;
  result.ret = (options & 2U) != 0 ? "FULL" : "HDRS";
  result.smtputf8 =
      (options & 4U) != 0 ? relay::message::SmtpUtf8::needed : relay::message::SmtpUtf8::not_needed;
  return result;
}

std::string received(std::string_view content) {
  relay::smtp::ContentCheck check({});
  std::string result;
  check.feed(content, result);
  check.finish(result);
  return check.fault() ? std::string() : result;
}

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void check_lines(const std::string& content) {
  std::size_t line = 0;
  for (std::size_t i = 0; i < content.size(); ++i) {
    require(content[i] != '\0');
    if (content[i] == '\n') {
      require(i > 0 && content[i - 1] == '\r' && i - line <= 999);
      line = i + 1;
    } else if (content[i] == '\r') {
      require(i + 1 < content.size() && content[i + 1] == '\n');
    }
  }
  require(line == content.size());
}

std::size_t count(std::string_view text, std::string_view word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    ++found;
  }
  return found;
}

// The header section's fields are those that the notice sets, each in its place.
void check_header(std::string_view header) {
  constexpr std::array<std::string_view, 9> kFields{
      "From: ",           "To: ",         "Subject: ",      "Date: ",        "Message-ID: ",
      "Auto-Submitted: ", "References: ", "MIME-Version: ", "Content-Type: "};
  auto expected = kFields.begin();
  while (!header.empty()) {
    const auto line = header.substr(0, header.find("\r\n"));
    header.remove_prefix(line.size() + 2);
    if (!line.starts_with('\t')) {
      expected = std::find_if(expected, kFields.end(),
                              [line](auto field) { return line.starts_with(field); });
      require(expected != kFields.end());
      ++expected;
    }
  }
}

void check(const DsnMessage& message) {
  const std::string_view content = message.content;
  check_lines(message.content);
  const auto header = content.substr(0, content.find("\r\n\r\n") + 2);
  check_header(header);
  const auto start = header.rfind("boundary=\"") + 10;
  const auto boundary = std::string(header.substr(start, header.find('"', start) - start));
  require(count(content, "\r\n--" + boundary + "\r\n") == 3);
  require(count(content, "\r\n--" + boundary + "--\r\n") == 1);
  require(content.ends_with("\r\n--" + boundary + "--\r\n"));
  require(message.eight_bit == std::any_of(content.begin(), content.end(), [](char c) {
            return (static_cast<unsigned char>(c) & 0x80U) != 0;
          }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string bytes(data + 1, data + size);
  std::string_view texts = bytes;
  const auto about = facts(texts, data[0]);
  const auto original = received(texts);
  check(relay::message::status_notice(about, {original, original.size()}));
  // Of a large message only the beginning is at hand, cut anywhere.
  const auto half = std::string_view(original).substr(0, original.size() / 2);
  check(relay::message::status_notice(about, {half, original.size()}));
  return 0;
}
