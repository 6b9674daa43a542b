#include "relay/net/tls_dane.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "relay/net/tls_verify.h"

namespace relay::net {
namespace {

// 80 bits: the records vouch for the key, and only what is hopeless is refused.
constexpr int kSecurityLevel = 1;

struct Pending {
  std::shared_ptr<const DaneExpectation> expectation;
  DaneVerdict& verdict;
};

struct FreeStoreContext {
  void operator()(X509_STORE_CTX* store) const { X509_STORE_CTX_free(store); }
};
using StoreContextHandle = std::unique_ptr<X509_STORE_CTX, FreeStoreContext>;

void free_pending(void* /*ssl*/, void* pending, CRYPTO_EX_DATA* /*data*/, int /*index*/,
                  long /*unused*/, void* /*unused*/) noexcept {
  delete static_cast<Pending*>(pending);
}

int pending_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &free_pending);
  return index;
}

int faults_index() {
  static const int index = X509_STORE_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

int on_dane_verify(int passed, X509_STORE_CTX* store) noexcept {
  if (passed == 0) {
    static_cast<FaultList*>(X509_STORE_CTX_get_ex_data(store, faults_index()))
        ->add(X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_error_depth(store));
  }
  return 1;
}

bool expect_names(X509_STORE_CTX* store, const std::vector<DomainName>& names) {
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(store);
  harden_names(rules);
  X509_VERIFY_PARAM_set_auth_level(rules, kSecurityLevel);
  return std::ranges::all_of(names, [rules](const DomainName& name) {
    return X509_VERIFY_PARAM_add1_host(rules, name.text().c_str(), name.text().size()) == 1;
  });
}

/// A match by a DANE-EE record ends the chain at the certificate itself.
std::shared_ptr<X509> issuer_in(X509_STORE_CTX* store) {
  const STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(store);
  if (sk_X509_num(chain) < 2) {
    return nullptr;
  }
  X509* const issuer = sk_X509_value(chain, 1);
  X509_up_ref(issuer);
  return {issuer, &X509_free};
}

DaneVerdict verdict_by(const FaultList& found, std::shared_ptr<X509> issuer) {
  const auto& faults = found.faults();
  if (faults.empty()) {
    return {DaneMatch::matched, {}, std::move(issuer)};
  }
  const std::string no_match = verify_error_symbol(X509_V_ERR_DANE_NO_MATCH);
  if (std::ranges::any_of(faults, [&no_match](const CertificateFault& fault) {
        return fault.code.starts_with(no_match);
      })) {
    return {DaneMatch::no_match, {}};
  }
  return {DaneMatch::chain_faults, faults, std::move(issuer)};
}

/// A verification of its own over the same chain, with the records and their names.
DaneVerdict judge(X509_STORE_CTX* given, SSL* ssl, const DaneExpectation& expectation) {
  const StoreContextHandle store(X509_STORE_CTX_new());
  FaultList faults;
  if (!store ||
      X509_STORE_CTX_init(store.get(), SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)),
                          X509_STORE_CTX_get0_cert(given),
                          X509_STORE_CTX_get0_untrusted(given)) != 1 ||
      X509_STORE_CTX_set_default(store.get(), "ssl_server") != 1 ||
      X509_STORE_CTX_set_ex_data(store.get(), faults_index(), &faults) != 1 ||
      !expect_names(store.get(), expectation.reference_names)) {
    return {DaneMatch::no_match, {}};
  }
  X509_STORE_CTX_set_verify_cb(store.get(), &on_dane_verify);
  X509_STORE_CTX_set0_dane(store.get(), SSL_get0_dane(ssl));
  if (X509_verify_cert(store.get()) <= 0 && faults.faults().empty()) {
    return {DaneMatch::no_match, {}};  // no memory, or no verification for another reason
  }
  return verdict_by(faults, issuer_in(store.get()));
}

/// Records that OpenSSL cannot use match nothing.
bool add_record(SSL* ssl, const DnsTlsa& record) {
  const int added = SSL_dane_tlsa_add(ssl, record.usage, record.selector, record.matching_type,
                                      reinterpret_cast<const unsigned char*>(record.data.data()),
                                      record.data.size());
  ERR_clear_error();
  return added > 0;
}

}  // namespace

bool allow_dane(ssl_ctx_st* context) {
  return SSL_CTX_dane_enable(context) == 1;
}

bool expect_records(ssl_st* ssl, const std::shared_ptr<const DaneExpectation>& expectation,
                    DaneVerdict& verdict) {
  verdict = {DaneMatch::no_match, {}};
  if (expectation->reference_names.empty() ||
      SSL_dane_enable(ssl, expectation->reference_names.front().text().c_str()) != 1) {
    return false;
  }
  // RFC 7672 §3.1.1: neither names nor dates count for DANE-EE.
  SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
  const auto added = std::ranges::count_if(
      expectation->records, [ssl](const DnsTlsa& record) { return add_record(ssl, record); });
  if (added == 0) {
    return true;  // nothing can match, and OpenSSL would not look at records at all
  }
  auto pending = std::make_unique<Pending>(Pending{expectation, verdict});
  if (SSL_set_ex_data(ssl, pending_index(), pending.get()) != 1) {
    return false;
  }
  static_cast<void>(pending.release());
  return true;
}

void judge_by_records(x509_store_ctx_st* store, ssl_st* ssl) {
  X509_STORE_CTX_set0_dane(store, nullptr);
  if (const auto* pending = static_cast<Pending*>(SSL_get_ex_data(ssl, pending_index()))) {
    pending->verdict = judge(store, ssl, *pending->expectation);
  }
}

}  // namespace relay::net
