// What private and public keys of DKIM have in common at OpenSSL's side.
#pragma once

#include <string>
#include <string_view>

struct evp_pkey_st;

namespace relay::message {

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
[[nodiscard]] std::string encoded_key(evp_pkey_st* key, int selection, const char* type,
                                      const char* structure);

/// The public part of an RSA or Ed25519 key as in p=, base64 (RFC 6376 §3.6.1, RFC 8463 §4.2).
[[nodiscard]] std::string public_key_text(evp_pkey_st* key);

}  // namespace relay::message
