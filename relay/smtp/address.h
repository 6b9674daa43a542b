// Mailboxes and paths of MAIL and RCPT (RFC 5321 §4.1.2, RFC 6531 §3.3). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "relay/net/expected.h"

namespace relay::smtp {

struct Address {
  std::string local;     ///< as written, quotes included
  std::string domain;    ///< lower-case A-labels, or an address literal in brackets
  bool literal = false;  ///< domain is an address literal
  bool utf8 = false;     ///< local holds octets over 127

  [[nodiscard]] std::string text() const { return local + "@" + domain; }
};

enum class AddressFault {
  syntax,
  no_domain,       ///< "<postmaster>"
  local_too_long,  ///< over 64 octets (RFC 5321 §4.5.3.1.1)
  path_too_long,   ///< over 256 octets (RFC 5321 §4.5.3.1.3)
  domain,          ///< not a domain name
  not_utf8,        ///< octets over 127 that are not UTF-8
};

/// Whether text is well-formed UTF-8 (RFC 3629); so is the empty one.
[[nodiscard]] bool is_utf8(std::string_view text);

/// One sentence for the SMTP reply.
[[nodiscard]] std::string_view explanation(AddressFault fault);

/// Reads "local@domain". The local part is a dot-string or a quoted string.
[[nodiscard]] Expected<Address, AddressFault> parse_mailbox(std::string_view text);

/// Reads a path in angle brackets at the start of text (after blanks, which old clients send) and
/// removes it from text. nullopt: the null path "<>". A source route is dropped (RFC 5321
/// appendix C).
[[nodiscard]] Expected<std::optional<Address>, AddressFault> take_path(std::string_view& text);

}  // namespace relay::smtp
