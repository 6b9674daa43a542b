#include "relay/smtp/reply.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

constexpr std::size_t kMaxLines = 100;
constexpr std::size_t kMaxOctets = std::size_t{64} * 1024;
constexpr std::size_t kMaxText = 512;

// Length of the digits at the start of text, at most 3 (RFC 3463 §2); 0 when there are none.
std::size_t number_length(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size() && is_digit(text[length])) {
    ++length;
  }
  return length <= 3 ? length : 0;
}

// Length of an RFC 3463 status code at the start of text; 0 when there is none.
std::size_t enhanced_code_length(std::string_view text) {
  if (text.size() < 5 || !is_digit(text[0]) || text[1] != '.') {
    return 0;
  }
  const auto subject = number_length(text.substr(2));
  const auto dot = 2 + subject;
  if (subject == 0 || dot >= text.size() || text[dot] != '.') {
    return 0;
  }
  const auto detail = number_length(text.substr(dot + 1));
  const auto end = dot + 1 + detail;
  if (detail == 0 || (end < text.size() && text[end] != ' ' && text[end] != '\t')) {
    return 0;
  }
  return end;
}

}  // namespace

std::string Reply::enhanced_code() const {
  if (lines.empty()) {
    return {};
  }
  const std::string_view first = lines.front();
  const auto length = enhanced_code_length(first);
  // RFC 2034 §4: a class that contradicts the reply code makes the code worthless.
  if (length == 0 || first[0] - '0' != severity() || first[0] == '3') {
    return {};
  }
  return std::string(first.substr(0, length));
}

std::string Reply::text() const {
  auto text = std::to_string(code);
  for (const auto& line : lines) {
    if (text.size() >= kMaxText) {
      break;
    }
    if (!line.empty()) {
      text += ' ';
      text.append(line, 0, kMaxText);
    }
  }
  return printable(text, kMaxText);
}

Expected<std::optional<Reply>, ReplyFault> ReplyParser::feed(std::string_view& bytes) {
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    const auto length = newline == std::string_view::npos ? bytes.size() : newline + 1;
    octets_ += length;
    if (octets_ > kMaxOctets) {
      return Unexpected<ReplyFault>({fmt::format("reply of more than {} octets", kMaxOctets)});
    }
    line_.append(bytes.substr(0, length));
    bytes.remove_prefix(length);
    if (newline == std::string_view::npos) {
      break;
    }
    auto last = take_line();
    if (!last) {
      return Unexpected<ReplyFault>(std::move(last.error()));
    }
    if (*last) {
      octets_ = 0;
      return std::exchange(partial_, {});
    }
  }
  return std::nullopt;
}

Expected<bool, ReplyFault> ReplyParser::take_line() {
  std::string_view line = line_;
  line.remove_suffix(1);
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  if (line.size() < 3 || !std::all_of(line.begin(), line.begin() + 3, is_digit) ||
      (line.size() > 3 && line[3] != ' ' && line[3] != '-')) {
    return Unexpected<ReplyFault>(
        {fmt::format("no three-digit code: \"{}\"", printable(line, 40))});
  }
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  if (code < 200 || code > 599) {
    return Unexpected<ReplyFault>({fmt::format("reply code {} outside 200 to 599", code)});
  }
  if (!partial_.lines.empty() && code != partial_.code) {
    return Unexpected<ReplyFault>(
        {fmt::format("reply codes {} and {} in one reply", partial_.code, code)});
  }
  if (partial_.lines.size() == kMaxLines) {
    return Unexpected<ReplyFault>({fmt::format("reply of more than {} lines", kMaxLines)});
  }
  partial_.code = code;
  partial_.lines.emplace_back(line.size() > 4 ? line.substr(4) : std::string_view{});
  const bool last = line.size() == 3 || line[3] == ' ';
  line_.clear();
  return last;
}

}  // namespace relay::smtp
