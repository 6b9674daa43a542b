#include "relay/smtp/content_check.h"

#include <algorithm>

#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr int kMaxHeaderFields = 1000;

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

// The first fault in the order of octets counts, so that the cut into slices does not matter.
void ContentCheck::check(std::string_view slice, std::string& out) {
  const auto allowed = limits_.message_size - size_;
  const bool too_large = slice.size() > allowed;
  if (too_large) {
    slice = slice.substr(0, static_cast<std::size_t>(allowed));
  }
  size_ += slice.size();
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
  if (too_large) {
    fail(ContentFault::too_large);
  }
}

void ContentCheck::check_header_line(std::string& out) {
  const std::string_view line = header_line_;
  if (line.find('\0') != std::string_view::npos) {
    fail(ContentFault::nul);
    return;
  }
  if (!line.ends_with(kLineEnd) || line.find('\r') != line.size() - kLineEnd.size()) {
    fail(ContentFault::bare_line_end);
    return;
  }
  const bool continues = header_fields_ > 0 && (line.starts_with(' ') || line.starts_with('\t'));
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
  tls_required_.line(line);
  header_fields_ += line == kLineEnd || continues ? 0 : 1;
  if (header_ > limits_.header_size || header_fields_ > kMaxHeaderFields) {
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
  eight_bit_ = eight_bit_ || has_eight_bit(slice);
  const bool nul = slice.find('\0') != std::string_view::npos;
  for (auto rest = slice; !rest.empty();) {
    const auto newline = rest.find('\n');
    const auto piece = rest.substr(0, newline == std::string_view::npos ? newline : newline + 1);
    if (nul || !whole_line(piece)) {
      check_octets(piece);
    }
    if (fault_) {
      return;
    }
    rest.remove_prefix(piece.size());
  }
  out.append(slice);
}

// The common case, fast: a whole line that begins in this slice and breaks no rule.
bool ContentCheck::whole_line(std::string_view piece) const {
  return line_ == 0 && !after_cr_ && piece.ends_with(kLineEnd) &&
         piece.size() <= limits_.line_length + kLineEnd.size() &&
         piece.find('\r') == piece.size() - kLineEnd.size();
}

void ContentCheck::check_octets(std::string_view piece) {
  for (const char c : piece) {
    if (c == '\0') {
      fail(ContentFault::nul);
    } else if (after_cr_ != (c == '\n')) {
      fail(ContentFault::bare_line_end);
    } else if (c == '\n') {
      line_ = 0;
    } else if (c != '\r' && ++line_ > limits_.line_length) {
      fail(ContentFault::line_too_long);
    }
    after_cr_ = c == '\r';
  }
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
