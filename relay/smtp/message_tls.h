// What a message itself asks of TLS on its way (RFC 8689). Pure.
#pragma once

#include <string_view>

namespace relay::smtp {

enum class MessageTls {
  normal,    ///< what the destination's policy says
  required,  ///< MAIL parameter REQUIRETLS: on every hop, or back to the sender (§2)
  optional,  ///< header field TLS-Required: No, and not REQUIRETLS: policies are ignored (§3)
};

/// "normal", "required", "optional": stable words for logs and JSON.
[[nodiscard]] constexpr std::string_view name(MessageTls tls) {
  switch (tls) {
    case MessageTls::normal:
      return "normal";
    case MessageTls::required:
      return "required";
    case MessageTls::optional:
      return "optional";
  }
  return {};
}

}  // namespace relay::smtp
