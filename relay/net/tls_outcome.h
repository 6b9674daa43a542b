// What became of TLS on one connection, as a pure value. It names facts only; whether they are
// good enough is decided by smtp/tls_requirement, and how they are reported by
// delivery/session_result.
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace relay::net {

/// The oldest protocol version a handshake may settle on.
enum class TlsFloor { any, tls12 };

/// Parameters of an established TLS session.
struct TlsParameters {
  std::string version;  ///< "TLSv1.3"
  std::string cipher;   ///< "TLS_AES_256_GCM_SHA384"
  bool resumed = false;
};

enum class CertificateFaultKind { host_mismatch, expired, not_trusted };

/// One thing wrong with a certificate chain.
struct CertificateFault {
  CertificateFaultKind kind;
  /// OpenSSL's symbol, "X509_V_ERR_CERT_HAS_EXPIRED"; with "@depthN" appended above the leaf.
  std::string code;
  friend bool operator==(const CertificateFault&, const CertificateFault&) = default;
};

/// The peer did not offer STARTTLS or did not answer it with 220.
struct TlsNotOffered {
  std::string reason;  ///< "not-advertised", "starttls-reply-454"
};
/// The handshake began and did not complete; or bytes were injected before it.
struct TlsFailed {
  std::string
      reason;  ///< "tls-alert-40", "handshake-eof", "handshake-timeout", "starttls-injection"
};
/// The handshake completed, the certificate does not prove the reference name.
struct TlsUnverified {
  TlsParameters parameters;
  std::vector<CertificateFault> faults;  ///< never empty; in the order found, no repeats
};
/// The handshake completed and the chain proves the reference name (RFC 8461 §4.2).
struct TlsVerified {
  TlsParameters parameters;
};

using TlsOutcome = std::variant<TlsNotOffered, TlsFailed, TlsUnverified, TlsVerified>;

}  // namespace relay::net
