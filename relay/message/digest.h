// Octets as DKIM and MIME write them: SHA-256 and base64 (RFC 4648 §4). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace relay::message {

/// 32 octets.
[[nodiscard]] std::string sha256(std::string_view octets);

/// In one line, padded.
[[nodiscard]] std::string base64(std::string_view octets);
/// Its octets; blanks and line ends anywhere are passed over, as DKIM allows them (RFC 6376 §3.2).
/// nullopt: it is no base64.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace relay::message
