// The RFC's keys and example, and a plain verifier to hold the signer against.
#pragma once

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "relay/message/digest.h"
#include "relay/message/dkim_canonical.h"
#include "relay/message/dkim_key.h"

namespace support {

inline std::string dkim_file(const std::string& name) {
  std::ifstream file(STSRELAY_TEST_DATA "/dkim/" + name, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline relay::message::DkimKey rfc_key(const std::string& algorithm) {
  const auto key = relay::message::DkimKey::from_pem(dkim_file("rfc8463-" + algorithm + ".pem"));
  REQUIRE(key);
  return *key;
}

inline std::string from_base64(std::string_view text) {
  std::string octets(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(octets.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  REQUIRE(size >= 0);
  octets.resize(octets.size() - static_cast<std::size_t>(std::ranges::count(text, '=')));
  return octets;
}

struct FreePublicKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeVerification {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

/// Whether OpenSSL takes signature for one over text by the key with this p=.
inline bool verifies(const std::string& algorithm, const std::string& public_record,
                     const std::string& text, const std::string& signature) {
  const std::string der = from_base64(public_record);
  const auto* octets = reinterpret_cast<const unsigned char*>(der.data());
  const bool rsa = algorithm == "rsa";
  const std::unique_ptr<EVP_PKEY, FreePublicKey> key(
      rsa ? d2i_PUBKEY(nullptr, &octets, static_cast<long>(der.size()))
          : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, octets, der.size()));
  REQUIRE(key);
  const std::string data = rsa ? text : relay::message::sha256(text);
  const std::unique_ptr<EVP_MD_CTX, FreeVerification> context(EVP_MD_CTX_new());
  REQUIRE(EVP_DigestVerifyInit(context.get(), nullptr, rsa ? EVP_sha256() : nullptr, nullptr,
                               key.get()) == 1);
  return EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(data.data()),
                          data.size()) == 1;
}

/// The tags of a DKIM-Signature field, without blanks and folds.
inline std::map<std::string, std::string> tags(std::string_view field) {
  std::string text(field.substr(field.find(':') + 1));
  std::erase_if(text, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
  std::map<std::string, std::string> result;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(';', at), text.size());
    const std::size_t equals = text.find('=', at);
    const bool first =
        result.emplace(text.substr(at, equals - at), text.substr(equals + 1, end - equals - 1))
            .second;
    CHECK_MESSAGE(first, "a tag twice: ", text);
    at = end + 1;
  }
  return result;
}

inline std::vector<std::string> names(std::string list) {
  std::vector<std::string> result;
  for (std::size_t at = 0; at != std::string::npos;) {
    const std::size_t colon = list.find(':', at);
    result.push_back(list.substr(at, colon - at));
    at = colon == std::string::npos ? colon : colon + 1;
  }
  return result;
}

/// Whether the signature, one field without its last CRLF and with b= at its end, fits message.
inline bool fits(std::string_view signature, std::string_view message,
                 const std::string& public_record) {
  const auto tag = tags(signature);
  const auto parts = relay::message::message_parts(message);
  if (relay::message::base64(relay::message::sha256(relay::message::relaxed_body(parts.body))) !=
      tag.at("bh")) {
    return false;
  }
  const std::string_view unsigned_field = signature.substr(0, signature.rfind(" b=") + 3);
  const std::string input =
      relay::message::signing_input(parts.fields, names(tag.at("h")), unsigned_field);
  return verifies(tag.at("a").substr(0, tag.at("a").find('-')), public_record, input,
                  from_base64(tag.at("b")));
}

}  // namespace support
