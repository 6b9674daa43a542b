#include "relay/net/tls_chain.h"

#include <algorithm>
#include <ctime>
#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace relay::net {
namespace {

constexpr int kMaxNames = 100;
constexpr int kMaxCertificates = 10;

struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
struct FreeMemory {
  void operator()(BIO* memory) const { BIO_free(memory); }
};

std::string text_of(const ASN1_STRING* text) {
  const auto* octets = ASN1_STRING_get0_data(text);
  return {octets, octets + ASN1_STRING_length(text)};
}

std::string text_of(const X509_NAME* name) {
  const std::unique_ptr<BIO, FreeMemory> memory(BIO_new(BIO_s_mem()));
  if (!memory || X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253) < 0) {
    return {};
  }
  char* text = nullptr;
  // BIO_get_mem_data() without the macro's C cast.
  const long size = BIO_ctrl(memory.get(), BIO_CTRL_INFO, 0, &text);
  return {text, static_cast<std::size_t>(std::max(size, 0L))};
}

CertificateSummary summary_of(const X509* certificate) {
  return {dns_names_of(certificate), text_of(X509_get_subject_name(certificate)),
          text_of(X509_get_issuer_name(certificate)),
          to_wall_time(X509_get0_notBefore(certificate)),
          to_wall_time(X509_get0_notAfter(certificate))};
}

ChainSummary summary_of(const STACK_OF(X509) * chain) {
  ChainSummary found;
  for (int i = 0; i < std::min(sk_X509_num(chain), kMaxCertificates); ++i) {
    found.push_back(summary_of(sk_X509_value(chain, i)));
  }
  // What could not be read is left out; nobody is to take it for an error of the session.
  ERR_clear_error();
  return found;
}

}  // namespace

std::vector<std::string> dns_names_of(const X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, FreeNames> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> found;
  for (int i = 0; i < std::min(sk_GENERAL_NAME_num(names.get()), kMaxNames); ++i) {
    int kind = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &kind);
    if (kind == GEN_DNS) {
      found.push_back(text_of(static_cast<const ASN1_STRING*>(value)));
    }
  }
  return found;
}

std::optional<WallTime> to_wall_time(const asn1_string_st* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    return std::nullopt;
  }
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

ChainSummary chain_summary(const ssl_st* ssl) {
  return summary_of(SSL_get_peer_cert_chain(ssl));
}

TlsPeerSummary peer_summary(x509_store_ctx_st* verification) {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()));
  return {SSL_get_version(ssl), SSL_get_cipher_name(ssl),
          summary_of(X509_STORE_CTX_get0_untrusted(verification))};
}

}  // namespace relay::net
