#include "relay/message/report_mail.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "relay/message/digest.h"
#include "relay/message/folded_field.h"
#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

constexpr std::size_t kMaxText = 900;
constexpr std::size_t kMaxTextLine = 998;
constexpr std::size_t kBase64Width = 76;
constexpr std::size_t kEncodedWordOctets = 45;  // 60 characters of the 75 that a word may have

// One line's worth of text that cannot end the line.
std::string one_line(std::string_view text) {
  return smtp::printable(text, kMaxText);
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : one_line(text)) {
    if (c == '"' || c == '\\') {
      result += '\\';
    }
    result += c;
  }
  return result + '"';
}

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

// RFC 2047 §5: no character is divided between two words.
void add_encoded(std::string_view text, FoldedField& field) {
  while (!text.empty()) {
    std::size_t size = std::min(kEncodedWordOctets, text.size());
    while (size < text.size() && size > 1 && continues_character(text[size])) {
      --size;
    }
    field.add(fmt::format("=?utf-8?B?{}?=", base64(text.substr(0, size))));
    text.remove_prefix(size);
  }
}

std::string from_field(const ReportMail& mail) {
  FoldedField field("From:");
  if (std::ranges::all_of(mail.from_name, smtp::is_ascii)) {
    if (!mail.from_name.empty()) {
      field.add(quoted(mail.from_name));
    }
  } else {
    add_encoded(std::string_view(mail.from_name).substr(0, kMaxText), field);
  }
  field.add(fmt::format("<{}>", one_line(mail.from)));
  return field.text();
}

// RFC 8460 §5.3; readers match it with a pattern, so no word of it is encoded or divided.
std::string subject_field(const ReportMail& mail) {
  FoldedField field("Subject:");
  const std::string text =
      fmt::format("Report Domain: {} Submitter: {} Report-ID: <{}>", one_line(mail.report_domain),
                  one_line(mail.submitter), one_line(mail.report_id));
  std::string_view rest = text;
  for (auto word = smtp::next_word(rest); !word.empty(); word = smtp::next_word(rest)) {
    field.add(word);
  }
  return field.text();
}

std::string base64_lines(std::string_view octets) {
  const std::string encoded = base64(octets);
  std::string lines;
  lines.reserve(encoded.size() + encoded.size() / kBase64Width * 2 + 2);
  for (std::size_t at = 0; at < encoded.size(); at += kBase64Width) {
    lines.append(encoded, at, kBase64Width).append("\r\n");
  }
  return lines;
}

std::string with_crlf(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    result.append(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line).append("\r\n");
  }
  return result;
}

// Whether text, with CRLF line ends, can travel as it is (RFC 2045 §2.7).
bool is_seven_bit(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find("\r\n"));
    text.remove_prefix(std::min(line.size() + 2, text.size()));
    if (line.size() > kMaxTextLine ||
        !std::ranges::all_of(line, [](char c) { return c == '\t' || smtp::is_printable(c); })) {
      return false;
    }
  }
  return true;
}

std::string text_part(std::string_view text) {
  const std::string lines = with_crlf(text);
  const bool plain = is_seven_bit(lines);
  return fmt::format(
      "Content-Type: text/plain; charset={}\r\n"
      "Content-Transfer-Encoding: {}\r\n"
      "\r\n"
      "{}",
      plain ? "us-ascii" : "utf-8", plain ? "7bit" : "base64", plain ? lines : base64_lines(lines));
}

std::string report_part(const ReportMail& mail) {
  // The name stays in one piece, however long: readers take it apart (RFC 8460 §5.1).
  return fmt::format(
      "Content-Type: application/tlsrpt+{}\r\n"
      "Content-Transfer-Encoding: base64\r\n"
      "Content-Disposition: attachment;\r\n"
      "\tfilename={}\r\n"
      "\r\n"
      "{}",
      mail.encoding == ReportMail::Encoding::gzip ? "gzip" : "json", quoted(mail.file_name),
      base64_lines(mail.body));
}

// As unique as the report, and in no line of base64.
std::string boundary(const ReportMail& mail, std::string_view text) {
  std::string result = "=_tlsrpt_";
  for (const char c : sha256(mail.report_id).substr(0, 12)) {
    result += fmt::format("{:02x}", static_cast<unsigned char>(c));
  }
  while (text.find(result) != std::string_view::npos) {
    result += '_';
  }
  return result;
}

std::string header(const ReportMail& mail, std::string_view boundary) {
  return fmt::format(
      "{}\r\n"
      "To: <{}>\r\n"
      "{}\r\n"
      "Date: {}\r\n"
      "Message-ID: <{}>\r\n"
      "MIME-Version: 1.0\r\n"
      "Auto-Submitted: auto-generated\r\n"  // RFC 3834 §5
      "TLS-Required: No\r\n"                // RFC 8460 §3 and §5.3.1, RFC 8689 §5
      "TLS-Report-Domain: {}\r\n"
      "TLS-Report-Submitter: {}\r\n"
      "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
      "\tboundary=\"{}\"\r\n"
      "\r\n",
      from_field(mail), one_line(mail.to), subject_field(mail), date_time(mail.date),
      one_line(mail.message_id), one_line(mail.report_domain), one_line(mail.submitter), boundary);
}

}  // namespace

std::string report_mail(const ReportMail& mail) {
  const std::string text = text_part(mail.text);
  const std::string border = boundary(mail, text);
  std::string message = header(mail, border);
  for (const std::string& part : {text, report_part(mail)}) {
    message.append("--").append(border).append("\r\n").append(part).append("\r\n");
  }
  return message.append("--").append(border).append("--\r\n");
}

}  // namespace relay::message
