#include "relay/smtp/tls_required_field.h"

#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

constexpr std::string_view kName = "TLS-Required";
constexpr std::string_view kNo = "no";

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// RFC 5322 §4.5.8: blanks before the colon, as old software wrote them.
bool is_named(std::string_view field) {
  while (!field.empty() && is_blank(field.back())) {
    field.remove_suffix(1);
  }
  return equal_ignoring_case(field, kName);
}

}  // namespace

void TlsRequiredField::line(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  if (line.starts_with(' ') || line.starts_with('\t')) {
    if (inside_) {
      value(line);
    }
    return;
  }
  const auto colon = line.find(':');
  inside_ = colon != std::string_view::npos && is_named(line.substr(0, colon));
  if (inside_) {
    ++fields_;
    value(line.substr(colon + 1));
  }
}

void TlsRequiredField::value(std::string_view text) {
  for (const char c : text) {
    if (comment_depth_ > 0) {
      comment_octet(c);
    } else {
      value_octet(c);
    }
  }
}

void TlsRequiredField::value_octet(char c) {
  const bool between = is_blank(c) || c == '(';
  comment_depth_ = c == '(' ? 1 : 0;
  switch (state_) {
    case State::before:
    case State::word:
      if (between) {
        state_ = state_ == State::word ? State::after : state_;
      } else if (matched_ < kNo.size() && to_lower(c) == kNo[matched_]) {
        state_ = State::word;
        ++matched_;
      } else {
        state_ = State::wrong;
      }
      break;
    case State::after:
      state_ = between ? State::after : State::wrong;
      break;
    case State::wrong:
      break;
  }
}

// RFC 5322 §3.2.2: comments nest, and a backslash takes the next octet's meaning away.
void TlsRequiredField::comment_octet(char c) {
  if (quoted_) {
    quoted_ = false;
  } else if (c == '\\') {
    quoted_ = true;
  } else if (c == '(') {
    ++comment_depth_;
  } else if (c == ')') {
    --comment_depth_;
  }
}

bool TlsRequiredField::says_no() const {
  const bool complete = state_ == State::word || state_ == State::after;
  return fields_ == 1 && complete && matched_ == kNo.size() && comment_depth_ == 0;
}

}  // namespace relay::smtp
