// A TLS report as mail: multipart/report with a text for people and the report itself (RFC 8460
// §5.3). Pure. ASCII throughout, so that no relay on the way has to convert it. Equal input gives
// equal octets. Whatever text comes in, no header field can be forged.
#pragma once

#include <string>

#include "relay/message/date_time.h"

namespace relay::message {

struct ReportMail {
  enum class Encoding { gzip, json };

  std::string from;                    ///< "local@domain", at the signing domain
  std::string from_name;               ///< for people, UTF-8; empty: none
  std::string to;                      ///< "local@domain"
  std::string report_domain;           ///< the domain that is reported on, A-labels
  std::string submitter;               ///< domain of the report's contact-info
  std::string report_id;               ///< "left@right", as in the report
  std::string file_name;               ///< RFC 8460 §5.1
  std::string text;                    ///< for people, UTF-8, LF or CRLF line ends
  std::string body;                    ///< the report's octets
  Encoding encoding = Encoding::gzip;  ///< of body
  Time date{};
  std::string message_id;  ///< "left@right"
};

/// The complete message, CRLF line ends; ready to be signed.
[[nodiscard]] std::string report_mail(const ReportMail& mail);

}  // namespace relay::message
