#include "relay/message/dkim_public_key.h"

#include <algorithm>
#include <optional>

#include <openssl/decoder.h>
#include <openssl/evp.h>

#include "relay/message/digest.h"
#include "relay/message/dkim_openssl.h"
#include "relay/message/dkim_tags.h"
#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

constexpr int kMostBits = 16384;  // a larger key only costs time
constexpr std::size_t kEd25519Octets = 32;

using Key = std::shared_ptr<EVP_PKEY>;

Key owned(EVP_PKEY* key) {
  return {key, [](EVP_PKEY* each) { EVP_PKEY_free(each); }};
}

// SubjectPublicKeyInfo or, as the RFC's own grammar says, RSAPublicKey (erratum 3017).
Key rsa_key(std::string_view der) {
  for (const char* const structure : {"SubjectPublicKeyInfo", "type-specific"}) {
    EVP_PKEY* key = nullptr;
    const std::unique_ptr<OSSL_DECODER_CTX, FreeDecoder> decoder(OSSL_DECODER_CTX_new_for_pkey(
        &key, "DER", structure, "RSA", EVP_PKEY_PUBLIC_KEY, nullptr, nullptr));
    const unsigned char* at = octets_of(der);
    std::size_t left = der.size();
    if (decoder && OSSL_DECODER_from_data(decoder.get(), &at, &left) == 1 && left == 0) {
      return owned(key);
    }
    EVP_PKEY_free(key);
  }
  return nullptr;
}

Key ed25519_key(std::string_view octets) {
  return octets.size() == kEd25519Octets
             ? owned(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, octets_of(octets),
                                                 octets.size()))
             : nullptr;
}

std::vector<std::string> lower_list(std::string_view value) {
  return dkim_list(smtp::lower(value));
}

bool holds(const std::vector<std::string>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

/// The tags of a record, if it is one of a key.
std::optional<DkimTags> key_tags(std::string_view record) {
  auto tags = DkimTags::parse(record);
  const bool sound = tags && tags->find("p") != nullptr && tags->value("v", "DKIM1") == "DKIM1" &&
                     (tags->find("v") == nullptr || tags->all().front().name == "v");
  return sound ? std::move(tags) : std::nullopt;
}

}  // namespace

Expected<DkimPublicKey, std::string> DkimPublicKey::from_record(std::string_view record) {
  const ErrorMark mark;
  const auto tags = key_tags(record);
  if (!tags) {
    return Unexpected<std::string>("key-malformed");
  }
  const auto octets = from_base64(tags->value("p"));
  if (octets && octets->empty()) {
    return Unexpected<std::string>("key-revoked");
  }
  DkimPublicKey result;
  result.algorithm_ = smtp::lower(tags->value("k", "rsa"));
  const bool rsa = result.algorithm_ == "rsa";
  if (!rsa && result.algorithm_ != "ed25519") {
    return Unexpected<std::string>("key-kind-unknown");
  }
  result.key_ = !octets ? nullptr : rsa ? rsa_key(*octets) : ed25519_key(*octets);
  if (!result.key_) {
    return Unexpected<std::string>("key-malformed");
  }
  const int bits = EVP_PKEY_get_bits(result.key_.get());
  if (rsa && bits < kLeastBits) {
    return Unexpected<std::string>("key-too-short");
  }
  if (bits > kMostBits) {
    return Unexpected<std::string>("key-malformed");
  }
  const auto flags = lower_list(tags->value("t"));
  result.services_ = lower_list(tags->value("s", "*"));
  result.sha256_ = tags->find("h") == nullptr || holds(lower_list(tags->value("h")), "sha256");
  result.strict_ = holds(flags, "s");
  result.testing_ = holds(flags, "y");
  return result;
}

bool DkimPublicKey::declares_reports() const {
  return holds(services_, "tlsrpt");
}

bool DkimPublicKey::serves_mail() const {
  return holds(services_, "*") || holds(services_, "email");
}

bool DkimPublicKey::serves_reports() const {
  return declares_reports() || serves_mail();
}

std::string DkimPublicKey::public_record() const {
  return public_key_text(key_.get());
}

bool DkimPublicKey::verifies(std::string_view text, std::string_view signature) const {
  const ErrorMark mark;
  const bool rsa = algorithm_ == "rsa";
  // RFC 8463 §3: Ed25519 signs the hash that RSA signs, and hashes that once more by itself.
  const std::string hash = rsa ? std::string() : sha256(text);
  const std::string_view signed_text = rsa ? text : hash;
  const std::unique_ptr<EVP_MD_CTX, FreeDigest> digest(EVP_MD_CTX_new());
  return digest &&
         EVP_DigestVerifyInit(digest.get(), nullptr, rsa ? EVP_sha256() : nullptr, nullptr,
                              key_.get()) == 1 &&
         EVP_DigestVerify(digest.get(), octets_of(signature), signature.size(),
                          octets_of(signed_text), signed_text.size()) == 1;
}

}  // namespace relay::message
