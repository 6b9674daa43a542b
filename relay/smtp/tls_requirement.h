// What a session must achieve before a message may be sent on it. A value that the client engine
// obeys; made only by delivery/tls_policy. Plaintext under a policy cannot be expressed: the only
// way to a plaintext session is after_failed_handshake() of an opportunistic requirement. Pure.
#pragma once

#include <compare>
#include <optional>
#include <string_view>

#include "relay/net/tls_outcome.h"

namespace relay::smtp {

class TlsRequirement {
 public:
  /// TLS if offered, any certificate (RFC 7435).
  static constexpr TlsRequirement opportunistic() { return TlsRequirement{Level::opportunistic}; }
  /// TLS 1.2 or newer with a certificate that proves the MX host name (RFC 8461 §4.2).
  static constexpr TlsRequirement verified() { return TlsRequirement{Level::verified}; }

  /// Whether a session with this outcome may carry the message.
  [[nodiscard]] bool met_by(const net::TlsOutcome& outcome) const;
  /// Whether STARTTLS is used when the server offers it: always, but for the second connection
  /// after a failed opportunistic handshake.
  [[nodiscard]] constexpr bool uses_tls() const { return level_ != Level::plaintext_retry; }
  /// The requirement for a second connection to the same host after its handshake failed: plaintext
  /// if and only if this is opportunistic. Otherwise there is none and the host is passed over.
  [[nodiscard]] constexpr std::optional<TlsRequirement> after_failed_handshake() const {
    if (level_ == Level::opportunistic) {
      return TlsRequirement{Level::plaintext_retry};
    }
    return std::nullopt;
  }
  [[nodiscard]] constexpr net::TlsFloor floor() const {
    return level_ == Level::verified ? net::TlsFloor::tls12 : net::TlsFloor::any;
  }
  /// "opportunistic", "verified", "plaintext-retry": stable word for logs and session keys.
  [[nodiscard]] std::string_view name() const;

  friend constexpr auto operator<=>(TlsRequirement, TlsRequirement) = default;

 private:
  enum class Level { plaintext_retry, opportunistic, verified };
  constexpr explicit TlsRequirement(Level level) : level_(level) {}
  Level level_;
};

}  // namespace relay::smtp
