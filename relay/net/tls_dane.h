// The verdict by TLSA records on the certificate chain of a handshake, beside the one by trust
// anchors and name (RFC 7671 §5, RFC 7672 §3). OpenSSL does the matching. For relay/net only.
#pragma once

#include <memory>
#include <vector>

#include "relay/net/dane.h"
#include "relay/net/tls_outcome.h"

struct ssl_ctx_st;
struct ssl_st;
struct x509_st;
struct x509_store_ctx_st;

namespace relay::net {

struct DaneVerdict {
  DaneMatch match = DaneMatch::not_asked;
  std::vector<CertificateFault> faults{};  ///< chain_faults: never empty
  /// Who issued the certificate, by the chain to a DANE-TA record; null: no_match, a DANE-EE record
  /// (RFC 7672 §3.1.1: only the key counts) or an anchor that is a bare key.
  std::shared_ptr<x509_st> issuer{};
};

/// Lets the sessions of context have TLSA records. False when out of memory.
[[nodiscard]] bool allow_dane(ssl_ctx_st* context);

/// Gives the session its records. To be called before the name for the other verdict is set;
/// verdict outlives the handshake and is no_match until a chain was judged. False when out of
/// memory.
[[nodiscard]] bool expect_records(ssl_st* ssl,
                                  const std::shared_ptr<const DaneExpectation>& expectation,
                                  DaneVerdict& verdict);

/// Judges the chain that store is about to verify, by the session's records if it has any, and
/// leaves store to be verified without them.
void judge_by_records(x509_store_ctx_st* store, ssl_st* ssl);

}  // namespace relay::net
