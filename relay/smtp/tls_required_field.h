// The header field TLS-Required (RFC 8689 §3), found while a header section passes line by line.
// It switches protection off, so whatever is not exactly one clear "No" counts as absent. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace relay::smtp {

class TlsRequiredField {
 public:
  /// The next line of the header section, in order; with or without its CRLF.
  void line(std::string_view line);

  /// Whether the lines so far hold one such field and its value is "No", in any case, perhaps amid
  /// blanks and comments. More than one field MUST NOT appear (§3), so that then none counts.
  [[nodiscard]] bool says_no() const;

 private:
  enum class State { before, word, after, wrong };

  void value(std::string_view text);
  void value_octet(char c);
  void comment_octet(char c);

  int fields_ = 0;
  bool inside_ = false;  // the present line belongs to a TLS-Required field
  State state_ = State::before;
  std::size_t matched_ = 0;  // octets of "no"
  int comment_depth_ = 0;
  bool quoted_ = false;  // in a comment, after a backslash
};

}  // namespace relay::smtp
