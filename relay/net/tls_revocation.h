// Certificate revocation by the OCSP response that a server staples to its handshake (RFC 6066 §8,
// RFC 6960) and by the promise of one in its certificate (RFC 7633). For relay/net only.
#pragma once

#include <string_view>

struct ssl_ctx_st;
struct ssl_st;
struct x509_st;

namespace relay::net {

struct StapleVerdict {
  /// "good", "revoked", "unknown", or why the response proves nothing; empty: none was sent.
  std::string_view finding;
  int error;  ///< what is wrong with the certificate, an X509_V_ERR value; X509_V_OK: nothing
};

/// Makes the handshakes of context ask for a staple. False when out of memory.
[[nodiscard]] bool request_staples(ssl_ctx_st* context);

/// The same, and when the chain was verified on_staple(ssl, argument) says whether to go on: not
/// with 0, which ends the handshake by the alert of RFC 6066 §8.
[[nodiscard]] bool check_staples(ssl_ctx_st* context, int (*on_staple)(ssl_st*, void*),
                                 void* argument);

/// Judges the server's certificate by the staple of a full handshake. issuer: of the certificate,
/// in the chain that proves it; null: not known, and then no staple proves anything.
[[nodiscard]] StapleVerdict judge_staple(ssl_st* ssl, x509_st* issuer);

/// In the chain by trust anchors that ssl was verified by; null: none.
[[nodiscard]] x509_st* verified_issuer(const ssl_st* ssl);

}  // namespace relay::net
