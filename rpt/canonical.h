// One form for each text of a result, so that spelling splits neither policies nor failures. Pure.
#pragma once

#include <string>
#include <string_view>

#include "rpt/result.h"

namespace rpt {

/// Domains as canonical_name(); TLSA records in upper case without blanks in their data, in
/// numerical order, each once: neither the order of an RRset nor the case of digits tells anything.
[[nodiscard]] PolicyDescription canonical(PolicyDescription policy);
/// Addresses as canonical_ip(), the MX host as canonical_name(), the server as announced_name().
[[nodiscard]] FailureDetail canonical(FailureDetail failure);
/// A domain name in lower case without a trailing dot.
[[nodiscard]] std::string canonical_name(std::string_view name);
/// Dotted IPv4 or RFC 5952 text; IPv4-mapped IPv6 as IPv4. Empty for what is no address.
[[nodiscard]] std::string canonical_ip(const std::string& text);
/// The name a server gave: the first word of its EHLO reply without the code, at most 255 octets.
[[nodiscard]] std::string announced_name(std::string_view reply);

}  // namespace rpt
