// TLSA records for certificates that a test has made.
#pragma once

#include <array>
#include <string>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "relay/net/dns_message.h"
#include "tests/relay/net/certificates.h"

namespace support {

template <class Value>
std::string der_of(const Value* value, int (*encode)(const Value*, unsigned char**)) {
  std::string der(static_cast<std::size_t>(encode(value, nullptr)), '\0');
  auto* end = reinterpret_cast<unsigned char*>(der.data());
  encode(value, &end);
  return der;
}

inline std::string certificate_der(const Certificate& certificate) {
  return der_of(certificate.get(), &i2d_X509);
}
inline std::string key_der(const Certificate& certificate) {
  return der_of(X509_get_X509_PUBKEY(certificate.get()), &i2d_X509_PUBKEY);
}

inline std::string hashed(const std::string& bytes, const EVP_MD* algorithm) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, algorithm, nullptr);
  return {hash.begin(), hash.begin() + size};
}

inline relay::net::DnsTlsa tlsa_of(const Certificate& certificate, int usage, int selector,
                                   int matching_type) {
  std::string data = selector == 0 ? certificate_der(certificate) : key_der(certificate);
  if (matching_type != 0) {
    data = hashed(data, matching_type == 1 ? EVP_sha256() : EVP_sha512());
  }
  return {static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector),
          static_cast<std::uint8_t>(matching_type), std::move(data)};
}

}  // namespace support
