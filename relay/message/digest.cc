#include "relay/message/digest.h"

#include <algorithm>
#include <stdexcept>

#include <openssl/evp.h>

namespace relay::message {
namespace {

// EVP_EncodeBlock() counts in int.
constexpr std::size_t kBlock = std::size_t{3} << 20U;

unsigned char* octets_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

}  // namespace

std::string sha256(std::string_view octets) {
  std::string digest(32, '\0');
  if (EVP_Digest(octets.data(), octets.size(), octets_of(digest), nullptr, EVP_sha256(), nullptr) !=
      1) {
    throw std::runtime_error("OpenSSL has no SHA-256");
  }
  return digest;
}

std::string base64(std::string_view octets) {
  std::string encoded((octets.size() + 2) / 3 * 4 + 1, '\0');  // a NUL is written behind it
  unsigned char* at = octets_of(encoded);
  while (!octets.empty()) {
    const std::string_view block = octets.substr(0, kBlock);
    at += EVP_EncodeBlock(at, reinterpret_cast<const unsigned char*>(block.data()),
                          static_cast<int>(block.size()));
    octets.remove_prefix(block.size());
  }
  encoded.pop_back();
  return encoded;
}

}  // namespace relay::message
