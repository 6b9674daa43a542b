#include "relay/smtp/dot_stuffing.h"

namespace relay::smtp {
namespace {

constexpr std::string_view kCrlf = "\r\n";

}  // namespace

// line: without its line end and without LF; may hold stray CRs.
void DotStuffer::stuff_line(std::string_view line, std::string& out) {
  while (!line.empty()) {
    if (content_ == Content::data && line_start_ && line.front() == '.') {
      out += '.';
    }
    line_start_ = false;
    const auto stray = line.find('\r');
    out.append(line.substr(0, stray));
    if (stray == std::string_view::npos) {
      return;
    }
    out.append(kCrlf);
    line_start_ = true;
    line.remove_prefix(stray + 1);
  }
}

void DotStuffer::stuff(std::string_view slice, std::string& out) {
  if (slice.empty()) {
    return;
  }
  if (held_cr_) {
    held_cr_ = false;
    out.append(kCrlf);
    line_start_ = true;
    if (slice.front() == '\n') {
      slice.remove_prefix(1);
    }
  }
  out.reserve(out.size() + slice.size() + slice.size() / 64 + 8);
  for (;;) {
    const auto newline = slice.find('\n');
    if (newline == std::string_view::npos) {
      break;
    }
    auto line = slice.substr(0, newline);
    slice.remove_prefix(newline + 1);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    stuff_line(line, out);
    out.append(kCrlf);
    line_start_ = true;
  }
  if (slice.ends_with('\r')) {
    held_cr_ = true;
    slice.remove_suffix(1);
  }
  stuff_line(slice, out);
}

void DotStuffer::finish(std::string& out) {
  if (held_cr_ || !line_start_) {
    out.append(kCrlf);
  }
  if (content_ == Content::data) {
    out.append(".\r\n");
  }
  held_cr_ = false;
  line_start_ = true;
}

// Takes text up to and with the next CR.
void DotUnstuffer::after_text(std::string_view& bytes, std::string& out) {
  const auto cr = bytes.find('\r');
  const auto length = cr == std::string_view::npos ? bytes.size() : cr + 1;
  out.append(bytes.substr(0, length));
  bytes.remove_prefix(length);
  state_ = cr == std::string_view::npos ? State::text : State::text_cr;
}

bool DotUnstuffer::feed(std::string_view& bytes, std::string& out) {
  while (!bytes.empty()) {
    const char c = bytes.front();
    switch (state_) {
      case State::text:
        after_text(bytes, out);
        break;
      case State::text_cr:
        if (c == '\n') {
          out += c;
          bytes.remove_prefix(1);
          state_ = State::line_start;
        } else {
          after_text(bytes, out);
        }
        break;
      case State::line_start:
        if (c == '.') {
          bytes.remove_prefix(1);
          state_ = State::dot;
        } else {
          after_text(bytes, out);
        }
        break;
      case State::dot:
        if (c == '\r') {
          bytes.remove_prefix(1);
          state_ = State::dot_cr;
        } else {
          after_text(bytes, out);
        }
        break;
      case State::dot_cr:
        if (c == '\n') {
          bytes.remove_prefix(1);
          state_ = State::line_start;
          return true;
        }
        out += '\r';
        after_text(bytes, out);
        break;
    }
  }
  return false;
}

}  // namespace relay::smtp
