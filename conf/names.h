// Syntax of names in the configuration: domains, users, paths; and the nearest known key.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/rules.h"

namespace conf {

/// A host or domain name in ASCII: letters, digits, inner hyphens, labels of 1 to 63 octets, at
/// most 253 in all, the last one not numeric, no trailing dot, and no IP address.
[[nodiscard]] bool is_domain_name(std::string_view text);

/// "local@domain": a dot-atom and a domain name, lower case after the @ (RFC 5322 §3.4.1).
[[nodiscard]] bool is_mailbox(std::string_view text);

/// A destination of reports, "mailto:…" or "https://…"; answer: as given (RFC 8460 §3).
[[nodiscard]] std::optional<std::string> parse_report_uri(std::string_view text);

/// Whom a client certificate names, in the form that is compared: a fingerprint as lower-case hex,
/// a host name in lower case, or "*".
[[nodiscard]] std::optional<std::string> parse_certificate_name(std::string_view text);

/// One word of at most 320 octets; answer: lower case.
[[nodiscard]] std::optional<std::string> parse_pattern(std::string_view text);
/// Which mail addresses are meant, in lower case: "a@example.com", "example.com", "*.example.com".
[[nodiscard]] std::optional<std::string> parse_address_pattern(std::string_view text);
/// The same, or "<>".
[[nodiscard]] std::optional<std::string> parse_sender_pattern(std::string_view text);

/// A user as AUTH knows him.
[[nodiscard]] std::optional<std::string> parse_user_name(std::string_view text);

/// What is wrong with a text of this kind and what is accepted; nullopt: nothing.
[[nodiscard]] std::optional<std::string> fault_of(TextKind kind, std::string_view text);

/// The known name that text was probably meant to be.
[[nodiscard]] std::optional<std::string> nearest(std::string_view text,
                                                 const std::vector<std::string>& known);

}  // namespace conf
