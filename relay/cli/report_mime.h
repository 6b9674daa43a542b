// TLS reports in mail (RFC 8460 §5.3): finds them by type, by file name, or by how they begin,
// also in nested and forwarded messages.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "rpt/report_reader.h"

namespace relay::cli {

struct MailLimits {
  std::size_t depth = 20;    ///< of multiparts and forwarded messages in each other
  std::size_t parts = 1000;  ///< looked at in one message
  std::size_t part_octets = std::size_t{40} << 20U;  ///< as encoded in the mail
};

/// A part that seems to be a report, or a zip of them, and what its mail says of it.
struct MailedReport {
  std::string octets;
  rpt::ReportMetadata metadata;
  /// In the message itself, or in one that is forwarded by it.
  enum class Place { here, forwarded } place = Place::here;
};

struct MailContent {
  std::vector<MailedReport> reports;
  std::vector<std::string> problems;  ///< why more was not looked at
  std::string_view message;           ///< of what was given: header and body
};

/// message: RFC 5322, CRLF or LF.
[[nodiscard]] MailContent reports_in_mail(std::string_view message, const MailLimits& limits = {});
/// Calls each for one message after the other.
void read_mbox(std::string_view octets, const std::function<void(MailContent)>& each,
               const MailLimits& limits = {});

}  // namespace relay::cli
