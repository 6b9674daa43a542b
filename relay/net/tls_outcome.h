// What became of TLS on one connection, as a pure value. It names facts only; whether they are
// good enough is decided by smtp/tls_requirement, and how they are reported by
// delivery/session_result.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "relay/net/certificate_summary.h"

namespace relay::net {

/// The oldest protocol version a handshake may settle on.
enum class TlsFloor { any, tls12 };

enum class CertificateFaultKind { host_mismatch, expired, not_trusted };

/// One thing wrong with a certificate chain.
struct CertificateFault {
  CertificateFaultKind kind;
  /// OpenSSL's symbol, "X509_V_ERR_CERT_HAS_EXPIRED"; with "@depthN" appended above the leaf.
  std::string code;
  friend bool operator==(const CertificateFault&, const CertificateFault&) = default;
};

/// What the TLSA records say about the certificate (RFC 7672 §3).
enum class DaneMatch {
  not_asked,     ///< no records were given
  matched,       ///< and nothing else that the matching record asks for is missing
  no_match,      ///< no record matches
  chain_faults,  ///< a DANE-TA record matches; the chain, its names or its dates are wrong
};

/// Parameters of an established TLS session. A resumed one has those of its full handshake where
/// they come from the certificate.
struct TlsParameters {
  std::string version{};  ///< "TLSv1.3"
  std::string cipher{};   ///< "TLS_AES_256_GCM_SHA384"
  bool resumed = false;
  /// By TlsClientOptions::dane, independent of the verdict by trust anchors and reference name.
  DaneMatch dane = DaneMatch::not_asked;
  std::vector<CertificateFault> dane_faults{};  ///< chain_faults: never empty
  /// Of the peer's certificate and of its SubjectPublicKeyInfo, lower-case hex; empty: none shown.
  std::string certificate_sha256{}, key_sha256{};
  ChainSummary chain{};  ///< only if asked for (TlsClientOptions); empty in a resumed session
  /// What a stapled OCSP response said: "good", "revoked", "unknown", or why it proves nothing:
  /// "out-of-date". Empty: there was none, as in a resumed session.
  std::string staple{};
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
