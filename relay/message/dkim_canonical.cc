#include "relay/message/dkim_canonical.h"

#include <algorithm>

#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

constexpr std::string_view kBlanks = " \t";

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

std::string_view without_trailing_blanks(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// Cuts the first line off text; the line comes without its end.
std::string_view next_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find("\r\n"));
  text.remove_prefix(std::min(line.size() + 2, text.size()));
  return line;
}

// Runs of blanks become one blank, those at the end nothing.
void append_squeezed(std::string_view line, std::string& out) {
  if (line.find(' ') == std::string_view::npos && line.find('\t') == std::string_view::npos) {
    out += line;
    return;
  }
  bool blank = false;
  for (const char c : line) {
    if (is_blank(c)) {
      blank = true;
      continue;
    }
    if (blank) {
      out += ' ';
      blank = false;
    }
    out += c;
  }
}

}  // namespace

MessageParts message_parts(std::string_view message) {
  MessageParts parts;
  while (!message.empty()) {
    const std::string_view line = next_line(message);
    if (line.empty()) {
      parts.body = message;
      break;
    }
    if (is_blank(line.front()) && !parts.fields.empty()) {
      const char* begin = parts.fields.back().data();
      parts.fields.back() = {begin, static_cast<std::size_t>(line.data() + line.size() - begin)};
    } else {
      parts.fields.push_back(line);
    }
  }
  return parts;
}

std::string_view field_name(std::string_view field) {
  return without_trailing_blanks(field.substr(0, field.find(':')));
}

std::string relaxed_field(std::string_view field) {
  std::string result = smtp::lower(field_name(field));
  result += ':';
  std::string value(field.substr(std::min(field.find(':'), field.size() - 1) + 1));
  for (std::size_t at = value.find("\r\n"); at != std::string::npos; at = value.find("\r\n", at)) {
    value.erase(at, 2);
  }
  value.erase(0, value.find_first_not_of(kBlanks));
  append_squeezed(value, result);
  return result;
}

std::string relaxed_body(std::string_view body) {
  std::string result;
  result.reserve(body.size() + 2);
  std::size_t empty_lines = 0;  // counted only once something follows them
  while (!body.empty()) {
    const std::string_view line = without_trailing_blanks(next_line(body));
    if (line.empty()) {
      ++empty_lines;
      continue;
    }
    for (; empty_lines > 0; --empty_lines) {
      result += "\r\n";
    }
    append_squeezed(line, result);
    result += "\r\n";
  }
  return result;
}

std::string simple_body(std::string_view body) {
  while (body.ends_with("\r\n")) {
    body.remove_suffix(2);
  }
  return std::string(body) + "\r\n";
}

std::string signing_input(const std::vector<std::string_view>& fields,
                          const std::vector<std::string>& names, std::string_view signature,
                          Canonicalization how) {
  const auto canonical = [how](std::string_view field) {
    return how == Canonicalization::relaxed ? relaxed_field(field) : std::string(field);
  };
  std::string input;
  std::vector<bool> used(fields.size());
  for (const std::string& name : names) {
    for (std::size_t i = fields.size(); i-- > 0;) {
      if (!used[i] && smtp::equal_ignoring_case(field_name(fields[i]), name)) {
        used[i] = true;
        input += canonical(fields[i]) + "\r\n";
        break;
      }
    }
  }
  return input + canonical(signature);
}

}  // namespace relay::message
