// Certificate verification that collects every fault instead of stopping at the first
// (RFC 8461 §4.2, RFC 6125). For relay/net only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/clock.h"
#include "relay/net/domain_name.h"
#include "relay/net/tls_outcome.h"

struct ssl_ctx_st;
struct ssl_st;
struct X509_VERIFY_PARAM_st;
struct x509_st;

namespace relay::net {

/// Faults of one chain in the order found, without repeats and without the follow-up errors that
/// OpenSSL reports for the same missing issuer.
class FaultList {
 public:
  /// error: an X509_V_ERR value; depth: 0 is the leaf.
  void add(int error, int depth);
  void add(CertificateFault fault);
  [[nodiscard]] const std::vector<CertificateFault>& faults() const { return faults_; }
  /// Whether the verification came to its end: without that, no faults mean nothing.
  [[nodiscard]] bool complete() const { return complete_; }
  void set_complete() { complete_ = true; }

 private:
  std::vector<CertificateFault> faults_;
  bool issuer_missing_ = false;
  bool complete_ = false;
};

/// The symbol of an X509_V_ERR value: 10 gives "X509_V_ERR_CERT_HAS_EXPIRED".
std::string verify_error_symbol(int error);

/// RFC 8461 §4.2, RFC 6125: the subject's CN is no name, a wildcard is the whole left-most label.
void harden_names(X509_VERIFY_PARAM_st* rules);

/// Makes every handshake of context verify its chain, complete whatever the result, and put the
/// faults into the FaultList that expect_name() was given; TLSA records are judged apart
/// (tls_dane).
void collect_faults(ssl_ctx_st* context);

/// Sets what the certificate must prove: name as dNSName SAN (never the subject's CN, wildcards
/// only as the whole left-most label), or only a chain for server use when there is no name.
/// faults outlives the handshake or is taken back by forget_faults(). False when out of memory.
[[nodiscard]] bool expect_name(ssl_st* ssl, const std::optional<DomainName>& name,
                               FaultList& faults);
/// Makes whatever chain ssl is still shown count as not verified.
void forget_faults(ssl_st* ssl);

/// SHA-256 as lower-case hex.
struct Fingerprints {
  std::string certificate, key;  ///< key: SubjectPublicKeyInfo
};
Fingerprints fingerprints_of(const x509_st* certificate);

/// The earliest notAfter of the certificates that an established session was judged by.
std::optional<WallTime> chain_not_after(const ssl_st* ssl);

}  // namespace relay::net
