// What a session must achieve before a message may be sent on it. A value that the client engine
// obeys; made only by delivery/tls_policy. Plaintext under a policy cannot be expressed: the only
// ways to a plaintext session are plaintext(), which an operator asked for by name, and
// after_failed_handshake() of an opportunistic requirement. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/dane.h"
#include "relay/net/tls_outcome.h"

namespace relay::smtp {

class TlsRequirement {
 public:
  /// Lower-case hex SHA-256 of certificates or public keys.
  using Fingerprints = std::vector<std::string>;

  /// No STARTTLS at all.
  static TlsRequirement plaintext() { return TlsRequirement{Level::plaintext}; }
  /// TLS if offered, any certificate (RFC 7435).
  static TlsRequirement opportunistic() { return TlsRequirement{Level::opportunistic}; }
  /// TLS 1.2 or newer, any certificate.
  static TlsRequirement encrypted() { return TlsRequirement{Level::encrypted}; }
  /// TLS 1.2 or newer with a certificate that proves the MX host name (RFC 8461 §4.2).
  static TlsRequirement verified() { return TlsRequirement{Level::verified}; }

  /// The name that the server is asked to be, where TLSA records judge its certificate.
  enum class Sni {
    tlsa_base,  ///< RFC 7672 §8.1
    mx_host,    ///< RFC 8461 §7.1
  };
  /// The same, with the certificate judged by TLSA records too (RFC 7672 §3). A match is demanded
  /// from encrypted() on; an opportunistic session only learns the verdict.
  [[nodiscard]] TlsRequirement with_dane(std::shared_ptr<const net::DaneExpectation> dane,
                                         Sni sni = Sni::tlsa_base) const;
  /// The same, and certificate or key must be one of these. At least encrypted().
  [[nodiscard]] TlsRequirement with_fingerprints(
      std::shared_ptr<const Fingerprints> fingerprints) const;

  /// Whether a session with this outcome may carry the message.
  [[nodiscard]] bool met_by(const net::TlsOutcome& outcome) const;
  /// Whether STARTTLS is used when the server offers it.
  [[nodiscard]] bool uses_tls() const { return level_ >= Level::opportunistic; }
  /// The requirement for a second connection to the same host after its handshake failed: plaintext
  /// if and only if this is opportunistic. Otherwise there is none and the host is passed over.
  [[nodiscard]] std::optional<TlsRequirement> after_failed_handshake() const;
  /// Whether a session that meets it has proved who the server is.
  [[nodiscard]] bool authenticates() const {
    return level_ == Level::verified ||
           (level_ == Level::encrypted && (dane_ != nullptr || fingerprints_ != nullptr));
  }
  [[nodiscard]] net::TlsFloor floor() const {
    return level_ >= Level::encrypted ? net::TlsFloor::tls12 : net::TlsFloor::any;
  }
  /// Whether certificate or key is a listed one; so is any where nothing is listed.
  [[nodiscard]] bool lists(const net::TlsParameters& parameters) const;
  /// The records to judge the certificate by; null: none.
  [[nodiscard]] const std::shared_ptr<const net::DaneExpectation>& dane() const { return dane_; }
  /// The name to send as SNI. mx_host: nullopt if the target is an address; then there is none.
  [[nodiscard]] std::optional<net::DomainName> sni(
      const std::optional<net::DomainName>& mx_host) const;
  /// "opportunistic", "verified", "dane", "plaintext-retry" …: stable word for logs.
  [[nodiscard]] std::string_view name() const;
  /// name() and whatever else two sessions must share to be interchangeable.
  [[nodiscard]] std::string key() const;

  /// Equal: the same sessions meet both.
  friend bool operator==(const TlsRequirement& a, const TlsRequirement& b) {
    return a.key() == b.key();
  }

 private:
  enum class Level { plaintext, plaintext_retry, opportunistic, encrypted, verified };
  explicit TlsRequirement(Level level) : level_(level) {}
  [[nodiscard]] bool met_by(const net::TlsParameters& parameters) const;

  Level level_;
  std::shared_ptr<const net::DaneExpectation> dane_;
  Sni sni_ = Sni::mx_host;
  std::shared_ptr<const Fingerprints> fingerprints_;
};

}  // namespace relay::smtp
