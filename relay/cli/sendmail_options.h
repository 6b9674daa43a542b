// The command line of sendmail, as programs have used it for decades, as a value. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/expected.h"

namespace relay::cli {

struct SendmailOptions {
  enum class Mode {
    message,   ///< read one from standard input
    dialogue,  ///< -bs: SMTP on standard input and output
  } mode = Mode::message;
  enum class Dot { ends, is_text } dot = Dot::ends;  ///< a line that holds nothing else; -i
  enum class Recipients { given, also_of_header } recipients_from = Recipients::given;  ///< -t
  enum class Body { any, seven_bit, eight_bit } body = Body::any;                       ///< -B
  std::optional<std::string> sender;    ///< -f, -r; "": the null sender
  std::string full_name;                ///< -F
  std::string notify;                   ///< -N, as RCPT has it: "NEVER", "SUCCESS,DELAY"
  std::string ret;                      ///< -R: "FULL", "HDRS"
  std::string envid;                    ///< -V, as xtext (RFC 3461 §4)
  std::vector<std::string> recipients;  ///< as written; each may be a list
  std::string config_file = "/etc/stsrelay/relay.yaml";
  std::string socket;  ///< "": the one of the configuration
};

/// arguments: without the program's name. What has no meaning here is passed over, as other
/// programs that are called sendmail do. The error says what is wrong and what to do instead.
[[nodiscard]] Expected<SendmailOptions, std::string> parse_sendmail(
    const std::vector<std::string_view>& arguments);

}  // namespace relay::cli
