#include "relay/smtp/content_check.h"

#include <algorithm>

#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr int kMaxHeaderLines = 1000;

bool has_eight_bit(std::string_view text) {
  unsigned char all = 0;
  for (const char c : text) {
    all = static_cast<unsigned char>(all | static_cast<unsigned char>(c));
  }
  return (all & 0x80U) != 0;
}

// RFC 5322 §2.2, with the obsolete blanks before the colon.
bool is_field_start(std::string_view line) {
  const auto colon = line.find(':');
  auto field = line.substr(0, colon == std::string_view::npos ? 0 : colon);
  while (field.ends_with(' ') || field.ends_with('\t')) {
    field.remove_suffix(1);
  }
  return !field.empty() && std::all_of(field.begin(), field.end(), is_graphic);
}

bool is_received(std::string_view line) {
  constexpr std::string_view kName = "Received:";
  return equal_ignoring_case(line.substr(0, kName.size()), kName);
}

}  // namespace

void ContentCheck::fail(ContentFault fault) {
  if (!fault_) {
    fault_ = fault;
    header_line_.clear();
  }
}

void ContentCheck::feed(std::string_view slice, std::string& out) {
  if (fault_ || slice.empty()) {
    return;
  }
  if (limits_.line_ends == LineEnds::refuse_bare) {
    check(slice, out);
    return;
  }
  std::string mended;
  normalize(slice, mended);
  check(mended, out);
}

void ContentCheck::normalize(std::string_view slice, std::string& out) {
  out.reserve(slice.size() + slice.size() / 16);
  for (const char c : slice) {
    if (held_cr_ || c == '\n') {
      out.append(kLineEnd);
    }
    held_cr_ = c == '\r';
    if (c != '\r' && c != '\n') {
      out += c;
    }
  }
}

void ContentCheck::check(std::string_view slice, std::string& out) {
  size_ += slice.size();
  if (size_ > limits_.message_size) {
    fail(ContentFault::too_large);
    return;
  }
  if (slice.find('\0') != std::string_view::npos) {
    fail(ContentFault::nul);
    return;
  }
  while (in_header_ && !slice.empty() && !fault_) {
    const auto newline = slice.find('\n');
    const auto length = newline == std::string_view::npos ? slice.size() : newline + 1;
    header_line_.append(slice.substr(0, length));
    slice.remove_prefix(length);
    if (header_line_.size() > limits_.line_length + kLineEnd.size()) {
      fail(ContentFault::line_too_long);
    } else if (newline != std::string_view::npos) {
      check_header_line(out);
    }
  }
  if (!fault_ && !in_header_) {
    check_body(slice, out);
  }
}

void ContentCheck::check_header_line(std::string& out) {
  const std::string_view line = header_line_;
  if (!line.ends_with(kLineEnd) || line.find('\r') != line.size() - kLineEnd.size()) {
    fail(ContentFault::bare_line_end);
    return;
  }
  const bool continues = header_lines_ > 0 && (line.starts_with(' ') || line.starts_with('\t'));
  if (line != kLineEnd && !continues && !is_field_start(line)) {
    // Text without an empty line before it: the body begins here.
    out.append(kLineEnd);
    in_header_ = false;
    eight_bit_ = eight_bit_ || has_eight_bit(line);
    out.append(line);
    header_line_.clear();
    return;
  }
  header_ += line.size();
  header_eight_bit_ = header_eight_bit_ || has_eight_bit(line);
  received_ += is_received(line) ? 1 : 0;
  if (header_ > limits_.header_size || ++header_lines_ > kMaxHeaderLines) {
    fail(ContentFault::header_too_large);
  } else if (received_ > limits_.received_headers) {
    fail(ContentFault::loop);
  } else {
    in_header_ = line != kLineEnd;
    out.append(line);
    header_line_.clear();
  }
}

void ContentCheck::check_body(std::string_view slice, std::string& out) {
  if (slice.empty()) {
    return;
  }
  eight_bit_ = eight_bit_ || has_eight_bit(slice);
  auto rest = slice;
  while (!rest.empty()) {
    const auto newline = rest.find('\n');
    const auto text = rest.substr(0, newline);
    const bool ended = newline != std::string_view::npos;
    // The only CR of a line is its last octet, right before the LF.
    const bool cr_before = text.empty() ? after_cr_ : text.ends_with('\r');
    const bool stray = (after_cr_ && !text.empty()) ||
                       text.substr(0, text.size() - (text.ends_with('\r') ? 1 : 0)).find('\r') !=
                           std::string_view::npos;
    line_ += text.size();
    if (stray || (ended && !cr_before)) {
      fail(ContentFault::bare_line_end);
      return;
    }
    if (line_ - (cr_before ? 1 : 0) > limits_.line_length) {
      fail(ContentFault::line_too_long);
      return;
    }
    after_cr_ = !ended && cr_before;
    line_ = ended ? 0 : line_;
    rest.remove_prefix(ended ? newline + 1 : text.size());
  }
  out.append(slice);
}

void ContentCheck::finish(std::string& out) {
  if (held_cr_) {
    held_cr_ = false;
    check(kLineEnd, out);
  }
  if (fault_) {
    return;
  }
  if (header_line_.ends_with('\r') || after_cr_) {
    fail(ContentFault::bare_line_end);
  } else if (!header_line_.empty() || line_ > 0) {
    check(kLineEnd, out);
  }
}

}  // namespace relay::smtp
