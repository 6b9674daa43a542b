// SMTP replies (RFC 5321 §4.2, RFC 3463): the value, and an incremental parser for what a server
// sends. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/expected.h"

namespace relay::smtp {

struct Reply {
  int code = 0;                    ///< 200..599
  std::vector<std::string> lines;  ///< text after the code, one per line, CR and LF removed

  [[nodiscard]] int severity() const { return code / 100; }  ///< 2, 3, 4, 5
  /// "5.1.1" when the text starts with an enhanced code whose class matches the reply code's.
  [[nodiscard]] std::string enhanced_code() const;
  /// "550 5.1.1 no such user": one line, lines joined by blanks, control characters replaced,
  /// at most 512 octets. Safe for logs, DSNs and JSON.
  [[nodiscard]] std::string text() const;
};

/// Why bytes from a server are no reply; the session cannot go on.
struct ReplyFault {
  std::string reason;  ///< "reply of more than 100 lines", "no three-digit code: \"<html\""
};

/// Feeds on bytes in any fragmentation. Accepts CRLF and bare LF line ends, missing text, and at
/// most 100 lines or 64 KiB per reply (RFC 5321 §4.5.3.1.5 asks for 512 octets a line).
class ReplyParser {
 public:
  /// Consumes from bytes up to the end of one reply. Returns the reply once complete; nullopt
  /// when more bytes are needed. bytes is advanced past what was consumed.
  Expected<std::optional<Reply>, ReplyFault> feed(std::string_view& bytes);

 private:
  /// Parses the whole line in line_ into partial_; true when it was the reply's last.
  Expected<bool, ReplyFault> take_line();

  std::string line_;
  Reply partial_;
  std::size_t octets_ = 0;
};

}  // namespace relay::smtp
