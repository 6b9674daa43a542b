#include "relay/net/tls_verify.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "relay/net/tls_chain.h"
#include "relay/net/tls_dane.h"

namespace relay::net {
namespace {

// <openssl/x509_vfy.h> of OpenSSL 3.0, without "X509_V_ERR_"; the first is value 1. The library
// has texts for people only, and TLS-RPT's failure-reason-code wants the symbol.
constexpr std::array<std::string_view, 94> kSymbols = {
    "UNSPECIFIED",
    "UNABLE_TO_GET_ISSUER_CERT",
    "UNABLE_TO_GET_CRL",
    "UNABLE_TO_DECRYPT_CERT_SIGNATURE",
    "UNABLE_TO_DECRYPT_CRL_SIGNATURE",
    "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
    "CERT_SIGNATURE_FAILURE",
    "CRL_SIGNATURE_FAILURE",
    "CERT_NOT_YET_VALID",
    "CERT_HAS_EXPIRED",
    "CRL_NOT_YET_VALID",
    "CRL_HAS_EXPIRED",
    "ERROR_IN_CERT_NOT_BEFORE_FIELD",
    "ERROR_IN_CERT_NOT_AFTER_FIELD",
    "ERROR_IN_CRL_LAST_UPDATE_FIELD",
    "ERROR_IN_CRL_NEXT_UPDATE_FIELD",
    "OUT_OF_MEM",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "CERT_CHAIN_TOO_LONG",
    "CERT_REVOKED",
    "NO_ISSUER_PUBLIC_KEY",
    "PATH_LENGTH_EXCEEDED",
    "INVALID_PURPOSE",
    "CERT_UNTRUSTED",
    "CERT_REJECTED",
    "SUBJECT_ISSUER_MISMATCH",
    "AKID_SKID_MISMATCH",
    "AKID_ISSUER_SERIAL_MISMATCH",
    "KEYUSAGE_NO_CERTSIGN",
    "UNABLE_TO_GET_CRL_ISSUER",
    "UNHANDLED_CRITICAL_EXTENSION",
    "KEYUSAGE_NO_CRL_SIGN",
    "UNHANDLED_CRITICAL_CRL_EXTENSION",
    "INVALID_NON_CA",
    "PROXY_PATH_LENGTH_EXCEEDED",
    "KEYUSAGE_NO_DIGITAL_SIGNATURE",
    "PROXY_CERTIFICATES_NOT_ALLOWED",
    "INVALID_EXTENSION",
    "INVALID_POLICY_EXTENSION",
    "NO_EXPLICIT_POLICY",
    "DIFFERENT_CRL_SCOPE",
    "UNSUPPORTED_EXTENSION_FEATURE",
    "UNNESTED_RESOURCE",
    "PERMITTED_VIOLATION",
    "EXCLUDED_VIOLATION",
    "SUBTREE_MINMAX",
    "APPLICATION_VERIFICATION",
    "UNSUPPORTED_CONSTRAINT_TYPE",
    "UNSUPPORTED_CONSTRAINT_SYNTAX",
    "UNSUPPORTED_NAME_SYNTAX",
    "CRL_PATH_VALIDATION_ERROR",
    "PATH_LOOP",
    "SUITE_B_INVALID_VERSION",
    "SUITE_B_INVALID_ALGORITHM",
    "SUITE_B_INVALID_CURVE",
    "SUITE_B_INVALID_SIGNATURE_ALGORITHM",
    "SUITE_B_LOS_NOT_ALLOWED",
    "SUITE_B_CANNOT_SIGN_P_384_WITH_P_256",
    "HOSTNAME_MISMATCH",
    "EMAIL_MISMATCH",
    "IP_ADDRESS_MISMATCH",
    "DANE_NO_MATCH",
    "EE_KEY_TOO_SMALL",
    "CA_KEY_TOO_SMALL",
    "CA_MD_TOO_WEAK",
    "INVALID_CALL",
    "STORE_LOOKUP",
    "NO_VALID_SCTS",
    "PROXY_SUBJECT_NAME_VIOLATION",
    "OCSP_VERIFY_NEEDED",
    "OCSP_VERIFY_FAILED",
    "OCSP_CERT_UNKNOWN",
    "UNSUPPORTED_SIGNATURE_ALGORITHM",
    "SIGNATURE_ALGORITHM_MISMATCH",
    "SIGNATURE_ALGORITHM_INCONSISTENCY",
    "INVALID_CA",
    "PATHLEN_INVALID_FOR_NON_CA",
    "PATHLEN_WITHOUT_KU_KEY_CERT_SIGN",
    "KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA",
    "ISSUER_NAME_EMPTY",
    "SUBJECT_NAME_EMPTY",
    "MISSING_AUTHORITY_KEY_IDENTIFIER",
    "MISSING_SUBJECT_KEY_IDENTIFIER",
    "EMPTY_SUBJECT_ALT_NAME",
    "EMPTY_SUBJECT_SAN_NOT_CRITICAL",
    "CA_BCONS_NOT_CRITICAL",
    "AUTHORITY_KEY_IDENTIFIER_CRITICAL",
    "SUBJECT_KEY_IDENTIFIER_CRITICAL",
    "CA_CERT_MISSING_KEY_USAGE",
    "EXTENSIONS_REQUIRE_VERSION_3",
    "EC_KEY_EXPLICIT_PARAMS",
};
static_assert(kSymbols.at(X509_V_ERR_CERT_HAS_EXPIRED - 1) == "CERT_HAS_EXPIRED");
static_assert(kSymbols.at(X509_V_ERR_HOSTNAME_MISMATCH - 1) == "HOSTNAME_MISMATCH");
static_assert(kSymbols.at(X509_V_ERR_EC_KEY_EXPLICIT_PARAMS - 1) == "EC_KEY_EXPLICIT_PARAMS");

// 112 bits: 2048-bit RSA, no SHA-1 signatures. A verdict must not depend on how old a protocol
// the session was allowed to use.
constexpr int kChainSecurityLevel = 2;

CertificateFaultKind kind_of(int error) {
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return CertificateFaultKind::host_mismatch;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return CertificateFaultKind::expired;
    default:
      return CertificateFaultKind::not_trusted;
  }
}

bool says_issuer_missing(int error) {
  return error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
         error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
         error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
         error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN;
}

int fault_list_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

SSL* session_of(X509_STORE_CTX* store) {
  return static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

FaultList* fault_list_of(const SSL* ssl) {
  return static_cast<FaultList*>(SSL_get_ex_data(ssl, fault_list_index()));
}

int on_verify(int passed, X509_STORE_CTX* store) noexcept {
  if (passed == 0) {
    if (auto* faults = fault_list_of(session_of(store))) {
      faults->add(X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_error_depth(store));
    }
  }
  return 1;
}

int on_verify_chain(X509_STORE_CTX* store, void* /*unused*/) noexcept {
  FaultList* faults = fault_list_of(session_of(store));
  if (faults == nullptr) {
    return 0;
  }
  judge_by_records(store, session_of(store));
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(store), kChainSecurityLevel);
  const int result = X509_verify_cert(store);
  if (result > 0) {
    faults->set_complete();
  }
  return result;
}

template <class Value>
std::string hex_sha256(const Value* value, int (*encode)(const Value*, unsigned char**)) {
  const int size = encode(value, nullptr);
  std::vector<unsigned char> der(static_cast<std::size_t>(std::max(size, 0)));
  unsigned char* end = der.data();
  std::array<unsigned char, 32> hash{};
  if (size <= 0 || encode(value, &end) != size ||
      EVP_Digest(der.data(), der.size(), hash.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    return {};
  }
  return fmt::format("{:02x}", fmt::join(hash, ""));
}

}  // namespace

std::string verify_error_symbol(int error) {
  const std::string prefix = "X509_V_ERR_";
  if (error < 1 || error > static_cast<int>(kSymbols.size())) {
    return prefix + std::to_string(error);
  }
  return prefix + std::string(kSymbols.at(static_cast<std::size_t>(error) - 1));
}

void FaultList::add(int error, int depth) {
  // Both follow from an issuer already reported as missing.
  if (issuer_missing_ && (error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
                          error == X509_V_ERR_CERT_UNTRUSTED || says_issuer_missing(error))) {
    return;
  }
  issuer_missing_ = issuer_missing_ || says_issuer_missing(error);
  std::string code = verify_error_symbol(error);
  if (depth > 0) {
    code += "@depth" + std::to_string(depth);
  }
  add(CertificateFault{kind_of(error), std::move(code)});
}

void FaultList::add(CertificateFault fault) {
  if (std::find(faults_.begin(), faults_.end(), fault) == faults_.end()) {
    faults_.push_back(std::move(fault));
  }
}

void collect_faults(ssl_ctx_st* context) {
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, &on_verify);
  SSL_CTX_set_cert_verify_callback(context, &on_verify_chain, nullptr);
}

void harden_names(X509_VERIFY_PARAM_st* rules) {
  X509_VERIFY_PARAM_set_hostflags(
      rules, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
}

bool expect_name(ssl_st* ssl, const std::optional<DomainName>& name, FaultList& faults) {
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  harden_names(rules);
  if (X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_SERVER) != 1 ||
      SSL_set_ex_data(ssl, fault_list_index(), &faults) != 1) {
    return false;
  }
  const std::string host = name ? name->text() : std::string();  // empty: takes back what is set
  return X509_VERIFY_PARAM_set1_host(rules, host.c_str(), host.size()) == 1;
}

void forget_faults(ssl_st* ssl) {
  SSL_set_ex_data(ssl, fault_list_index(), nullptr);
}

Fingerprints fingerprints_of(const x509_st* certificate) {
  return {hex_sha256(certificate, &i2d_X509),
          hex_sha256(X509_get_X509_PUBKEY(certificate), &i2d_X509_PUBKEY)};
}

std::optional<WallTime> chain_not_after(const ssl_st* ssl) {
  const STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl);
  if (chain == nullptr) {
    chain = SSL_get_peer_cert_chain(ssl);
  }
  std::optional<WallTime> earliest;
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    const auto end = to_wall_time(X509_get0_notAfter(sk_X509_value(chain, i)));
    if (!end) {
      return std::nullopt;
    }
    earliest = std::min(earliest.value_or(*end), *end);
  }
  return earliest;
}

}  // namespace relay::net
