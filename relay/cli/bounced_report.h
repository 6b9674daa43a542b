// Bounces of report mails that come back as mail, from behind the host that had taken them: which
// report it was, who did not get it, and why (RFC 3464, RFC 6522).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace relay::cli {

struct BouncedReport {
  std::string domain;      ///< TLS-Report-Domain of the returned mail
  std::string message_id;  ///< of the returned mail, without brackets
  std::string recipient;   ///< empty: not said
  std::string reason;      ///< status and diagnostic, one line
};

/// message: RFC 5322, CRLF or LF. nullopt: it is no notice of a permanent failure, or what it
/// returns is no report.
[[nodiscard]] std::optional<BouncedReport> bounced_report(std::string_view message);

/// Those of all messages of an mbox.
[[nodiscard]] std::vector<BouncedReport> bounced_reports(std::string_view mbox);

}  // namespace relay::cli
