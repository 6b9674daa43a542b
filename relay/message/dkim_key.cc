#include "relay/message/dkim_key.h"

#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>

#include "relay/message/digest.h"
#include "relay/message/dkim_openssl.h"

namespace relay::message {
namespace {

constexpr std::size_t kGeneratedBits = 2048;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeKey>;

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(fmt::format("OpenSSL cannot {} a DKIM key", what));
}

// From the line that begins a private key; empty when there is none.
std::string_view private_key_block(std::string_view pem) {
  const std::size_t label = pem.find("PRIVATE KEY-----");
  const std::size_t begin =
      label == std::string_view::npos ? label : pem.rfind("-----BEGIN ", label);
  return begin == std::string_view::npos ? std::string_view() : pem.substr(begin);
}

// Without a passphrase callback OpenSSL asks nobody for one.
KeyHandle decode(std::string_view block) {
  const ErrorMark mark;
  EVP_PKEY* key = nullptr;
  const std::unique_ptr<OSSL_DECODER_CTX, FreeDecoder> decoder(OSSL_DECODER_CTX_new_for_pkey(
      &key, "PEM", nullptr, nullptr, EVP_PKEY_KEYPAIR, nullptr, nullptr));
  if (!decoder) {
    throw std::bad_alloc();
  }
  const unsigned char* at = octets_of(block);
  std::size_t left = block.size();
  const bool decoded = OSSL_DECODER_from_data(decoder.get(), &at, &left) == 1;
  KeyHandle handle(key);
  return decoded ? std::move(handle) : nullptr;
}

bool is_consistent(EVP_PKEY* key) {
  const ErrorMark mark;
  const std::unique_ptr<EVP_PKEY_CTX, FreeContext> context(
      EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  return context && EVP_PKEY_pairwise_check(context.get()) == 1;
}

std::optional<std::string> fault_of(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) {
    return std::nullopt;
  }
  if (EVP_PKEY_is_a(key, "RSA") != 1) {
    return fmt::format("the private key is of the kind {}; DKIM knows RSA and Ed25519",
                       EVP_PKEY_get0_type_name(key));
  }
  if (const int bits = EVP_PKEY_get_bits(key); bits < kLeastBits) {
    return fmt::format("the RSA key has {} bits; DKIM needs {} at least, better 2048", bits,
                       kLeastBits);
  }
  if (!is_consistent(key)) {
    return "the private key is damaged: its numbers do not belong together";
  }
  return std::nullopt;
}

}  // namespace

Expected<DkimKey, std::string> DkimKey::from_pem(std::string_view pem) {
  const std::string_view block = private_key_block(pem);
  if (block.empty()) {
    return Unexpected<std::string>(
        pem.find("-----BEGIN ") == std::string_view::npos
            ? "this is no PEM: there is no \"-----BEGIN PRIVATE KEY-----\""
            : "there is no private key in it");
  }
  KeyHandle key = decode(block);
  if (!key) {
    return Unexpected<std::string>(
        block.find("ENCRYPTED") == std::string_view::npos
            ? "the private key is damaged or of an unknown kind"
            : "the private key is encrypted; it must be stored without a passphrase");
  }
  if (auto fault = fault_of(key.get())) {
    return Unexpected<std::string>(std::move(*fault));
  }
  return DkimKey(std::move(key));
}

DkimKey DkimKey::generate(Kind kind) {
  KeyHandle key(kind == Kind::rsa ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", kGeneratedBits)
                                  : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!key) {
    fail("make");
  }
  return DkimKey(std::move(key));
}

DkimKey::Kind DkimKey::kind() const {
  return EVP_PKEY_is_a(key_.get(), "RSA") == 1 ? Kind::rsa : Kind::ed25519;
}

std::string DkimKey::algorithm() const {
  switch (kind()) {
    case Kind::rsa:
      return "rsa";
    case Kind::ed25519:
      return "ed25519";
  }
  return {};
}

int DkimKey::bits() const {
  return EVP_PKEY_get_bits(key_.get());
}

std::string DkimKey::public_record() const {
  return public_key_text(key_.get());
}

std::string DkimKey::record(std::string_view service) const {
  const std::string tag = service.empty() ? std::string() : fmt::format(" s={};", service);
  return fmt::format("v=DKIM1; k={};{} p={}", algorithm(), tag, public_record());
}

std::string DkimKey::pem() const {
  return encoded_key(key_.get(), EVP_PKEY_KEYPAIR, "PEM", "PrivateKeyInfo");
}

std::string DkimKey::sign(std::string_view text) const {
  const bool rsa = kind() == Kind::rsa;
  // RFC 8463 §3: Ed25519 signs the hash that RSA signs, and hashes that once more by itself.
  const std::string hash = rsa ? std::string() : sha256(text);
  const std::string_view data = rsa ? text : hash;
  const std::unique_ptr<EVP_MD_CTX, FreeDigest> digest(EVP_MD_CTX_new());
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())), '\0');
  std::size_t size = signature.size();
  if (!digest ||
      EVP_DigestSignInit(digest.get(), nullptr, rsa ? EVP_sha256() : nullptr, nullptr,
                         key_.get()) != 1 ||
      EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     octets_of(data), data.size()) != 1) {
    fail("sign with");
  }
  signature.resize(size);
  return signature;
}

}  // namespace relay::message
