// Commands of an SMTP client as values (RFC 5321 §4.1.1), with the parameters of RFC 1870, 6152,
// 6531, 3461, 3030 and 8689. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "relay/net/expected.h"
#include "relay/smtp/address.h"

namespace relay::smtp {

enum class Verb {
  helo,
  ehlo,
  mail,
  rcpt,
  data,
  bdat,
  rset,
  noop,
  vrfy,
  expn,
  help,
  etrn,
  starttls,
  auth,
  quit,
  unknown
};

struct Command {
  Verb verb = Verb::unknown;
  std::string_view argument;  ///< after the verb and one blank; trailing blanks removed
};

/// Splits a command line (without its CRLF).
[[nodiscard]] Command parse_command(std::string_view line);

/// A reply that refuses something: "550", "5.7.1", "Relaying denied".
struct Refusal {
  int code;
  std::string enhanced_code;
  std::string text;
};

struct MailCommand {
  std::optional<Address> sender;  ///< absent: the null reverse-path
  std::optional<std::uint64_t> size;
  bool eight_bit_mime = false;
  bool smtputf8 = false;
  bool requiretls = false;
  std::string ret;    ///< "FULL", "HDRS" or empty
  std::string envid;  ///< xtext or empty
};
/// argument: what follows MAIL.
[[nodiscard]] Expected<MailCommand, Refusal> parse_mail(std::string_view argument);

enum class Utf8Allowed { no, yes };

struct RcptCommand {
  Address recipient;
  std::string notify;       ///< in upper case, checked; or empty
  std::string orcpt;        ///< as received, checked; or empty
  bool orcpt_utf8 = false;  ///< orcpt holds octets over 127 (RFC 6533 §3)
};
/// argument: what follows RCPT.
[[nodiscard]] Expected<RcptCommand, Refusal> parse_rcpt(std::string_view argument,
                                                        Utf8Allowed utf8);

struct BdatCommand {
  std::uint64_t size = 0;
  bool last = false;
};
/// argument: what follows BDAT.
[[nodiscard]] std::optional<BdatCommand> parse_bdat(std::string_view argument);

}  // namespace relay::smtp
