// What private and public keys of DKIM have in common at OpenSSL's side.
#pragma once

#include <string>
#include <string_view>

#include <openssl/decoder.h>
#include <openssl/evp.h>

namespace relay::message {

/// The shortest RSA key that signs or is believed, in bits (RFC 8301 §3.2).
inline constexpr int kLeastBits = 1024;

struct FreeDecoder {
  void operator()(OSSL_DECODER_CTX* decoder) const { OSSL_DECODER_CTX_free(decoder); }
};
struct FreeDigest {
  void operator()(EVP_MD_CTX* digest) const { EVP_MD_CTX_free(digest); }
};

/// OpenSSL's errors of this thread; others judge by whether there are any.
class ErrorMark {
 public:
  ErrorMark();
  ~ErrorMark();
  ErrorMark(const ErrorMark&) = delete;
  ErrorMark& operator=(const ErrorMark&) = delete;
};

[[nodiscard]] inline const unsigned char* octets_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

/// selection, type and structure as OSSL_ENCODER has them. Throws if OpenSSL cannot.
[[nodiscard]] std::string encoded_key(EVP_PKEY* key, int selection, const char* type,
                                      const char* structure);

/// The public part of an RSA or Ed25519 key as in p=, base64 (RFC 6376 §3.6.1, RFC 8463 §4.2).
[[nodiscard]] std::string public_key_text(EVP_PKEY* key);

}  // namespace relay::message
