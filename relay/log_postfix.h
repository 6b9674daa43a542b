// Events as the lines that Postfix writes to syslog, for pflogsumm and other readers of mail logs.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relay/log.h"

namespace relay {

struct PostfixStyle {
  enum class TlsField { absent, present } tls = TlsField::absent;
};

/// What a syslog daemon would put behind host and name: "/smtp[PID]: ID: to=<…>, …".
struct PostfixLine {
  std::string_view program;  ///< "smtp", "qmgr" …
  std::string text;          ///< behind "[PID]: "
};

/// The lines of an event that Postfix knows; none: it has no such lines. Whatever text the fields
/// hold, it looks like no other line or field.
[[nodiscard]] std::vector<PostfixLine> postfix_lines(std::string_view event,
                                                     const std::vector<LogField>& fields,
                                                     PostfixStyle style);

}  // namespace relay
