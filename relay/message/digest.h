// Octets as DKIM and MIME write them: SHA-256 and base64 (RFC 4648 §4). Pure.
#pragma once

#include <string>
#include <string_view>

namespace relay::message {

/// 32 octets.
[[nodiscard]] std::string sha256(std::string_view octets);

/// In one line, padded.
[[nodiscard]] std::string base64(std::string_view octets);

}  // namespace relay::message
