#include "relay/message/dsn.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "relay/message/utf8_address.h"
#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

constexpr std::size_t kMaxValue = 900;
constexpr std::size_t kMaxLine = 998;
constexpr std::size_t kTextWidth = 76;
constexpr std::size_t kMaxMessageId = 250;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), smtp::is_ascii);
}

// One line's worth of text that cannot end the line.
std::string clean(std::string_view text) {
  std::string result(text.substr(0, kMaxValue));
  std::replace_if(result.begin(), result.end(), smtp::is_control, ' ');
  return result;
}

std::string ascii_only(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return !smtp::is_ascii(c); }, '?');
  return text;
}

int hex_value(char c) {
  return smtp::is_digit(c) ? c - '0' : c - 'A' + 10;
}

// RFC 3461 §4; the input was checked when it was received.
std::string decode_xtext(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && i + 2 < text.size()) {
      result += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

// The header section with its last CRLF, without the empty line; of a cut one, the whole lines.
std::string_view header_section(std::string_view content) {
  if (content.starts_with("\r\n")) {
    return {};
  }
  const auto empty_line = content.find("\r\n\r\n");
  const auto end = empty_line == std::string_view::npos ? content.rfind("\r\n") : empty_line;
  return content.substr(0, end == std::string_view::npos ? 0 : end + 2);
}

// The value of a field, unfolded; empty when there is none.
std::string field(std::string_view header, std::string_view name) {
  std::string value;
  bool inside = false;
  while (!header.empty()) {
    const auto end = std::min(header.find("\r\n"), header.size());
    const auto line = header.substr(0, end);
    header.remove_prefix(std::min(end + 2, header.size()));
    const bool continues = line.starts_with(' ') || line.starts_with('\t');
    if (!continues && inside) {
      break;
    }
    if (continues && inside) {
      value.append(line);
    } else if (line.size() > name.size() && line[name.size()] == ':' &&
               smtp::equal_ignoring_case(line.substr(0, name.size()), name)) {
      inside = true;
      value = line.substr(name.size() + 1);
    }
  }
  return value;
}

// The original's Message-ID if it is a sound one, for References.
std::string original_message_id(std::string_view header) {
  const auto value = field(header, "Message-ID");
  const auto begin = value.find('<');
  const auto end = value.find('>', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos || end - begin > kMaxMessageId) {
    return {};
  }
  auto id = value.substr(begin, end - begin + 1);
  const bool sound = std::all_of(id.begin(), id.end(), smtp::is_graphic);
  return sound ? id : std::string();
}

// Breaks text at blanks into lines of a readable width, each with an indent.
void wrap(std::string_view text, std::string_view indent, std::string& out) {
  std::string line(indent);
  for (auto word = smtp::next_word(text); !word.empty(); word = smtp::next_word(text)) {
    if (line.size() > indent.size() && line.size() + 1 + word.size() > kTextWidth) {
      out.append(line).append("\r\n");
      line = indent;
    }
    line.append(line.size() > indent.size() ? " " : "").append(word);
  }
  if (line.size() > indent.size()) {
    out.append(line).append("\r\n");
  }
}

std::string_view action_name(Action action) {
  constexpr std::array<std::string_view, 3> kNames{"failed", "delayed", "relayed"};
  return kNames.at(static_cast<std::size_t>(action));
}

class NoticeWriter {
 public:
  NoticeWriter(const DsnFacts& facts, const ReturnedContent& original)
      : facts_(facts),
        header_(header_section(original.beginning)),
        full_(facts.action == Action::failed && facts.ret == "FULL" &&
                      original.full_size == original.beginning.size()
                  ? original.beginning
                  : std::string_view{}) {
    const bool utf8_address =
        !is_ascii(facts.to) ||
        std::any_of(facts.recipients.begin(), facts.recipients.end(),
                    [](const DsnRecipient& recipient) { return !is_ascii(recipient.address); });
    const bool utf8_header =
        facts.smtputf8 == SmtpUtf8::needed && !is_ascii(full_.empty() ? header_ : full_);
    utf8_ = utf8_address || utf8_header;
  }

  DsnMessage write() {
    std::string text = text_part();
    std::string status = status_part();
    std::string returned = returned_part();
    std::string boundary = fmt::format("=_{}_{}", facts_.id, facts_.original_id);
    const auto taken = [&boundary](const std::string& part) {
      return part.find(boundary) != std::string::npos;
    };
    while (taken(text) || taken(status) || taken(returned)) {
      boundary += '_';
    }
    DsnMessage message;
    message.content = header(boundary);
    for (const auto* part : {&text, &status, &returned}) {
      message.content.append("--").append(boundary).append("\r\n").append(*part).append("\r\n");
    }
    message.content.append("--").append(boundary).append("--\r\n");
    message.smtputf8 = utf8_;
    message.eight_bit = !is_ascii(message.content);
    return message;
  }

 private:
  // Text for a place that is ASCII unless the notice as a whole is UTF-8.
  [[nodiscard]] std::string value(std::string_view text) const {
    return utf8_ ? clean(text) : ascii_only(clean(text));
  }

  // RFC 6533 §3: an address of type utf-8 says the same in both kinds of notices.
  [[nodiscard]] std::string utf8_text(std::string_view address) const {
    const auto unicode = unicode_address(address);
    return value(utf8_ ? unicode : ascii_address(unicode));
  }

  [[nodiscard]] std::string subject() const {
    constexpr std::array<std::string_view, 3> kMail{"Undelivered mail", "Delayed mail",
                                                    "Mail passed on"};
    const auto what = facts_.reader == Reader::postmaster
                          ? std::string_view("Undeliverable bounce")
                          : kMail.at(static_cast<std::size_t>(facts_.action));
    if (facts_.recipients.size() == 1) {
      return fmt::format("{} to {}", what, value(facts_.recipients.front().address));
    }
    return fmt::format("{} to {} recipients", what, facts_.recipients.size());
  }

  [[nodiscard]] Time last_retry() const {
    Time last = facts_.now;
    for (const auto& recipient : facts_.recipients) {
      last = std::max(last, recipient.retry_until.value_or(last));
    }
    return last;
  }

  // For a person, and first of all.
  [[nodiscard]] std::string introduction() const {
    const auto accepted = date_time(facts_.arrival);
    const auto* whom = facts_.recipients.size() == 1 ? "recipient" : "recipients";
    const auto who = fmt::format("This is the mail relay {}.", facts_.hostname);
    if (facts_.reader == Reader::postmaster) {
      return fmt::format(
          "{} A message without a sender (a bounce, or another automatic one), accepted on {}, "
          "could not be delivered to the {} below. It will not be tried again, and nobody but you, "
          "the postmaster, is told.",
          who, accepted, whom);
    }
    switch (facts_.action) {
      case Action::failed:
        break;
      case Action::delayed:
        return fmt::format(
            "{} Your message, accepted on {}, has not been delivered yet to the {} below. You need "
            "not send it again: it will be tried until {}, and if that is in vain, you will be "
            "told.",
            who, accepted, whom, date_time(last_retry()));
      case Action::relayed:
        return fmt::format(
            "{} Your message, accepted on {}, was passed on for the {} below, to a host that does "
            "not tell when mail arrives. So this is the last that you hear of it from here.",
            who, accepted, whom);
    }
    return fmt::format(
        "{} Your message, accepted on {}, could not be delivered to the {} below. It will not be "
        "tried again.",
        who, accepted, whom);
  }

  [[nodiscard]] std::string header(std::string_view boundary) const {
    auto header = fmt::format(
        "From: Mail Delivery System <MAILER-DAEMON@{}>\r\n"
        "To: <{}>\r\n"
        "Subject: {}\r\n"
        "Date: {}\r\n"
        "Message-ID: <{}@{}>\r\n"
        "Auto-Submitted: auto-replied\r\n",
        facts_.hostname, value(facts_.to), subject(), date_time(facts_.now), facts_.id,
        facts_.hostname);
    if (const auto id = original_message_id(header_); !id.empty()) {
      header += fmt::format("References: {}\r\n", id);
    }
    header += fmt::format(
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type={};\r\n"
        "\tboundary=\"{}\"\r\n"
        "\r\n",
        utf8_ ? "global-delivery-status" : "delivery-status", boundary);
    return header;
  }

  [[nodiscard]] static std::string part_header(std::string_view type, std::string_view body) {
    return fmt::format(
        "Content-Type: {}\r\n"
        "Content-Transfer-Encoding: {}\r\n"
        "\r\n",
        type, is_ascii(body) ? "7bit" : "8bit");
  }

  [[nodiscard]] std::string text_part() const {
    std::string body;
    wrap(introduction(), "", body);
    for (const auto& recipient : facts_.recipients) {
      body += fmt::format("\r\n<{}>\r\n", value(recipient.address));
      wrap(value(recipient.explanation), "    ", body);
      // The explanation may quote the reply already.
      if (recipient.explanation.find(recipient.diagnostic) == std::string::npos) {
        body += fmt::format("    The server{}{} said:\r\n    {}\r\n",
                            recipient.remote_mta.empty() ? "" : " ", value(recipient.remote_mta),
                            value(recipient.diagnostic));
      }
      wrap(value(recipient.advice), "    ", body);
    }
    return part_header("text/plain; charset=utf-8", body) + body;
  }

  [[nodiscard]] std::string status_part() const {
    auto body = fmt::format("Reporting-MTA: dns; {}\r\n", facts_.hostname);
    if (!facts_.envid.empty()) {
      body += fmt::format("Original-Envelope-Id: {}\r\n", value(decode_xtext(facts_.envid)));
    }
    body += fmt::format("Arrival-Date: {}\r\n", date_time(facts_.arrival));
    for (const auto& recipient : facts_.recipients) {
      body += "\r\n" + recipient_fields(recipient);
    }
    return part_header(utf8_ ? "message/global-delivery-status" : "message/delivery-status", body) +
           body;
  }

  [[nodiscard]] std::string recipient_fields(const DsnRecipient& recipient) const {
    std::string fields;
    if (const auto semicolon = recipient.orcpt.find(';'); semicolon != std::string::npos) {
      const auto type = value(recipient.orcpt.substr(0, semicolon));
      const auto address = decode_xtext(recipient.orcpt.substr(semicolon + 1));
      fields += fmt::format(
          "Original-Recipient: {}; {}\r\n", type,
          smtp::equal_ignoring_case(type, "utf-8") ? utf8_text(address) : value(address));
    }
    fields += fmt::format(
        "Final-Recipient: {}; {}\r\n"
        "Action: {}\r\n"
        "Status: {}\r\n",
        is_ascii(recipient.address) ? "rfc822" : "utf-8", value(recipient.address),
        action_name(facts_.action), value(recipient.status));
    if (!recipient.remote_mta.empty()) {
      fields += fmt::format("Remote-MTA: dns; {}\r\n", value(recipient.remote_mta));
    }
    if (!recipient.diagnostic.empty()) {
      fields += fmt::format("Diagnostic-Code: smtp; {}\r\n", value(recipient.diagnostic));
    }
    if (recipient.last_attempt) {
      fields += fmt::format("Last-Attempt-Date: {}\r\n", date_time(*recipient.last_attempt));
    }
    if (facts_.action == Action::delayed && recipient.retry_until) {
      fields += fmt::format("Will-Retry-Until: {}\r\n", date_time(*recipient.retry_until));
    }
    return fields;
  }

  [[nodiscard]] std::string returned_part() const {
    const auto body = full_.empty() ? header_ : full_;
    const bool global = utf8_ && !is_ascii(body);
    const auto* type = full_.empty() ? (global ? "message/global-headers" : "text/rfc822-headers")
                                     : (global ? "message/global" : "message/rfc822");
    return part_header(type, body) + std::string(body);
  }

  const DsnFacts& facts_;
  std::string_view header_;
  std::string_view full_;
  bool utf8_ = false;
};

static_assert(kMaxValue + 64 < kMaxLine);

}  // namespace

DsnMessage status_notice(const DsnFacts& facts, const ReturnedContent& original) {
  return NoticeWriter(facts, original).write();
}

}  // namespace relay::message
