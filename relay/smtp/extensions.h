// What a server offers in its EHLO reply (RFC 5321 §4.1.1.1). Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/smtp/client_auth.h"
#include "relay/smtp/reply.h"

namespace relay::smtp {

struct Extensions {
  bool pipelining = false;                  ///< RFC 2920
  bool eight_bit_mime = false;              ///< RFC 6152
  bool smtputf8 = false;                    ///< RFC 6531
  bool starttls = false;                    ///< RFC 3207
  bool dsn = false;                         ///< RFC 3461
  bool requiretls = false;                  ///< RFC 8689
  bool size = false;                        ///< RFC 1870: the SIZE parameter may be sent
  bool chunking = false;                    ///< RFC 3030: BDAT
  AuthMechanisms auth;                      ///< RFC 4954
  std::optional<std::uint64_t> size_limit;  ///< absent: none declared (or 0)
  std::optional<std::uint64_t> mail_max;    ///< RFC 9422 LIMITS
  std::optional<std::uint64_t> rcpt_max;    ///< RFC 9422 LIMITS

  /// Reads a 250 reply to EHLO. Unknown keywords and malformed parameters count as absent.
  [[nodiscard]] static Extensions parse(const Reply& ehlo_reply);
};

}  // namespace relay::smtp
