#include "relay/net/tls_revocation.h"

#include <algorithm>
#include <memory>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace relay::net {
namespace {

constexpr long kSkew = 300;  // seconds that clocks may differ by
// CA/Browser Forum Baseline Requirements §4.9.10: no response is valid for longer.
constexpr long kLongestWithoutEnd = 10L * 24 * 60 * 60;
constexpr long kAnyAge = -1;

template <auto kFree>
struct Free {
  template <class Handle>
  void operator()(Handle* handle) const {
    kFree(handle);
  }
};
using ResponseHandle = std::unique_ptr<OCSP_RESPONSE, Free<&OCSP_RESPONSE_free>>;
using BasicHandle = std::unique_ptr<OCSP_BASICRESP, Free<&OCSP_BASICRESP_free>>;
using IdHandle = std::unique_ptr<OCSP_CERTID, Free<&OCSP_CERTID_free>>;
using StoreHandle = std::unique_ptr<X509_STORE, Free<&X509_STORE_free>>;
using FeatureHandle = std::unique_ptr<TLS_FEATURE, Free<&TLS_FEATURE_free>>;

struct FreeStack {
  // The stack only, not the certificates.
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using StackHandle = std::unique_ptr<STACK_OF(X509), FreeStack>;

enum class Finding {
  absent,
  good,
  revoked,
  unknown,
  malformed,
  no_answer,
  no_issuer,
  not_authentic,
  other_certificate,
  out_of_date,
};

std::string_view name(Finding finding) {
  switch (finding) {
    case Finding::absent:
      return "";
    case Finding::good:
      return "good";
    case Finding::revoked:
      return "revoked";
    case Finding::unknown:
      return "unknown";
    case Finding::malformed:
      return "malformed";
    case Finding::no_answer:
      return "no-answer";
    case Finding::no_issuer:
      return "no-issuer";
    case Finding::not_authentic:
      return "not-authentic";
    case Finding::other_certificate:
      return "other-certificate";
    case Finding::out_of_date:
      return "out-of-date";
  }
  return "";
}

/// RFC 7633 §4.2.3: the certificate's promise that its server staples.
bool promises_staple(const X509* certificate) {
  const FeatureHandle features(
      static_cast<TLS_FEATURE*>(X509_get_ext_d2i(certificate, NID_tlsfeature, nullptr, nullptr)));
  for (int i = 0; i < sk_ASN1_INTEGER_num(features.get()); ++i) {
    if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features.get(), i)) == TLSEXT_TYPE_status_request) {
      return true;
    }
  }
  return false;
}

/// RFC 6960 §4.2.2.2: by the issuer itself, or by who has the issuer's certificate for that.
bool is_authentic(OCSP_BASICRESP* response, X509* issuer) {
  const StoreHandle store(X509_STORE_new());
  const StackHandle issuers(sk_X509_new_null());
  if (!store || !issuers || X509_STORE_add_cert(store.get(), issuer) != 1 ||
      X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN) != 1 ||
      sk_X509_push(issuers.get(), issuer) <= 0) {
    return false;
  }
  return OCSP_basic_verify(response, issuers.get(), store.get(), OCSP_NOEXPLICIT) == 1;
}

bool is_about(OCSP_SINGLERESP* single, const X509* certificate, const X509* issuer) {
  // Not changed, whatever the function's type says.
  auto* const said = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single));
  ASN1_OBJECT* digest = nullptr;
  OCSP_id_get0_info(nullptr, &digest, nullptr, nullptr, said);
  const EVP_MD* const hash = EVP_get_digestbyobj(digest);
  const IdHandle meant(hash == nullptr ? nullptr : OCSP_cert_to_id(hash, certificate, issuer));
  return meant && OCSP_id_cmp(meant.get(), said) == 0;
}

Finding status_of(OCSP_SINGLERESP* single) {
  ASN1_GENERALIZEDTIME* since = nullptr;
  ASN1_GENERALIZEDTIME* until = nullptr;
  const int status = OCSP_single_get0_status(single, nullptr, nullptr, &since, &until);
  // RFC 6960 §4.2.2.1: outside of its time a response SHOULD be considered unreliable.
  if (OCSP_check_validity(since, until, kSkew, until == nullptr ? kLongestWithoutEnd : kAnyAge) !=
      1) {
    return Finding::out_of_date;
  }
  switch (status) {
    case V_OCSP_CERTSTATUS_GOOD:
      return Finding::good;
    case V_OCSP_CERTSTATUS_REVOKED:
      return Finding::revoked;
    default:
      return Finding::unknown;
  }
}

Finding read(const unsigned char* octets, long size, const X509* certificate, X509* issuer) {
  const unsigned char* const end = octets + size;
  const ResponseHandle response(d2i_OCSP_RESPONSE(nullptr, &octets, size));
  if (!response || octets != end) {
    return Finding::malformed;
  }
  if (OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return Finding::no_answer;
  }
  const BasicHandle basic(OCSP_response_get1_basic(response.get()));
  if (!basic) {
    return Finding::malformed;
  }
  if (issuer == nullptr) {
    return Finding::no_issuer;
  }
  for (int i = 0; i < OCSP_resp_count(basic.get()); ++i) {
    OCSP_SINGLERESP* const single = OCSP_resp_get0(basic.get(), i);
    if (is_about(single, certificate, issuer)) {
      return is_authentic(basic.get(), issuer) ? status_of(single) : Finding::not_authentic;
    }
  }
  return Finding::other_certificate;
}

Finding examine(ssl_st* ssl, const X509* certificate, X509* issuer) {
  const unsigned char* octets = nullptr;
  // SSL_get_tlsext_status_ocsp_resp() by another name: no copy, -1 for none.
  const long size = SSL_ctrl(ssl, SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP, 0, &octets);
  return octets == nullptr || size <= 0 ? Finding::absent : read(octets, size, certificate, issuer);
}

/// For a certificate that promises a staple.
int broken_promise(Finding finding) {
  switch (finding) {
    case Finding::good:
      return X509_V_OK;
    case Finding::revoked:
      return X509_V_ERR_CERT_REVOKED;
    case Finding::absent:
      return X509_V_ERR_OCSP_VERIFY_NEEDED;
    case Finding::unknown:
      return X509_V_ERR_OCSP_CERT_UNKNOWN;
    case Finding::malformed:
    case Finding::no_answer:
    case Finding::no_issuer:
    case Finding::not_authentic:
    case Finding::other_certificate:
    case Finding::out_of_date:
      break;
  }
  return X509_V_ERR_OCSP_VERIFY_FAILED;
}

// RFC 6066 §8: a client MUST check the response and abort when it is not satisfactory. What
// satisfies is the client's to say: a response that proves nothing is worth as much as none, which
// every server is free to send, so that refusing it would stop mail to servers with a neglected
// staple and no attacker. A certificate that promises a staple is not taken without a good one.
int error_of(Finding finding, const X509* certificate) {
  if (finding == Finding::revoked) {
    return X509_V_ERR_CERT_REVOKED;
  }
  return promises_staple(certificate) ? broken_promise(finding) : X509_V_OK;
}

}  // namespace

bool request_staples(ssl_ctx_st* context) {
  return SSL_CTX_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE, TLSEXT_STATUSTYPE_ocsp,
                      nullptr) == 1;
}

bool check_staples(ssl_ctx_st* context, int (*on_staple)(ssl_st*, void*), void* argument) {
  // Not by the macros: they hold C casts.
  return request_staples(context) &&
         SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB,
                               reinterpret_cast<void (*)()>(on_staple)) == 1 &&
         SSL_CTX_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB_ARG, 0, argument) == 1;
}

StapleVerdict judge_staple(ssl_st* ssl, x509_st* issuer) {
  const X509* const certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) {
    return {"", X509_V_OK};
  }
  const Finding finding = examine(ssl, certificate, issuer);
  // What the staple lacks is no error of the session.
  ERR_clear_error();
  return {name(finding), error_of(finding, certificate)};
}

x509_st* verified_issuer(const ssl_st* ssl) {
  const STACK_OF(X509)* const chain = SSL_get0_verified_chain(ssl);
  return sk_X509_num(chain) > 1 ? sk_X509_value(chain, 1) : nullptr;
}

}  // namespace relay::net
