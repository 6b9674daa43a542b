#include "relay/message/dkim_openssl.h"

#include <array>
#include <memory>
#include <stdexcept>

#include <openssl/crypto.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "relay/message/digest.h"

namespace relay::message {
namespace {

struct FreeEncoder {
  void operator()(OSSL_ENCODER_CTX* encoder) const { OSSL_ENCODER_CTX_free(encoder); }
};

}  // namespace

ErrorMark::ErrorMark() {
  ERR_set_mark();
}

ErrorMark::~ErrorMark() {
  ERR_pop_to_mark();
}

std::string encoded_key(EVP_PKEY* key, int selection, const char* type, const char* structure) {
  const std::unique_ptr<OSSL_ENCODER_CTX, FreeEncoder> encoder(
      OSSL_ENCODER_CTX_new_for_pkey(key, selection, type, structure, nullptr));
  unsigned char* octets = nullptr;
  std::size_t size = 0;
  if (!encoder || OSSL_ENCODER_to_data(encoder.get(), &octets, &size) != 1) {
    throw std::runtime_error("OpenSSL cannot write a DKIM key");
  }
  std::string result(reinterpret_cast<const char*>(octets), size);
  OPENSSL_clear_free(octets, size);
  return result;
}

std::string public_key_text(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    return base64(encoded_key(key, EVP_PKEY_PUBLIC_KEY, "DER", "SubjectPublicKeyInfo"));
  }
  // RFC 8463 §4.2: the bare key, in no ASN.1.
  std::array<unsigned char, 32> bare{};
  std::size_t size = bare.size();
  if (EVP_PKEY_get_raw_public_key(key, bare.data(), &size) != 1) {
    throw std::runtime_error("OpenSSL cannot show a DKIM key");
  }
  return base64({reinterpret_cast<const char*>(bare.data()), size});
}

}  // namespace relay::message
