#include "relay/message/digest.h"

#include <algorithm>
#include <stdexcept>

#include <openssl/evp.h>

namespace relay::message {
namespace {

// EVP_EncodeBlock() counts in int.
constexpr std::size_t kBlock = std::size_t{3} << 20U;
constexpr std::size_t kMaxEncoded = std::size_t{1} << 20U;

unsigned char* writable(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

}  // namespace

std::string sha256(std::string_view octets) {
  std::string digest(32, '\0');
  if (EVP_Digest(octets.data(), octets.size(), writable(digest), nullptr, EVP_sha256(), nullptr) !=
      1) {
    throw std::runtime_error("OpenSSL has no SHA-256");
  }
  return digest;
}

std::string base64(std::string_view octets) {
  std::string encoded((octets.size() + 2) / 3 * 4 + 1, '\0');  // a NUL is written behind it
  unsigned char* at = writable(encoded);
  while (!octets.empty()) {
    const std::string_view block = octets.substr(0, kBlock);
    at += EVP_EncodeBlock(at, reinterpret_cast<const unsigned char*>(block.data()),
                          static_cast<int>(block.size()));
    octets.remove_prefix(block.size());
  }
  encoded.pop_back();
  return encoded;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string encoded(text);
  std::erase_if(encoded, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
  if (encoded.size() % 4 != 0 || encoded.size() > kMaxEncoded) {
    return std::nullopt;
  }
  const std::size_t padding = encoded.size() - encoded.find_last_not_of('=') - 1;
  if (encoded.empty() || padding > 2 || encoded.find('=') < encoded.size() - padding) {
    return encoded.empty() ? std::optional(std::string()) : std::nullopt;
  }
  std::string octets(encoded.size() / 4 * 3, '\0');
  const int size =
      EVP_DecodeBlock(writable(octets), writable(encoded), static_cast<int>(encoded.size()));
  if (size < 0) {
    return std::nullopt;
  }
  octets.resize(octets.size() - padding);
  return octets;
}

}  // namespace relay::message
