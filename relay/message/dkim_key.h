// Private keys for DKIM signatures: RSA (RFC 6376, RFC 8301) and Ed25519 (RFC 8463), held by
// OpenSSL, which wipes them. Immutable: copies share the key, threads may sign with it at once.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "relay/net/expected.h"

struct evp_pkey_st;

namespace relay::message {

class DkimKey {
 public:
  enum class Kind { rsa, ed25519 };

  /// PKCS#8 or PKCS#1, not encrypted. RSA of at least 1024 bits (RFC 8301 §3.2). The error says
  /// what is wrong, of which file is the caller's to say. pem is the caller's to wipe.
  [[nodiscard]] static Expected<DkimKey, std::string> from_pem(std::string_view pem);
  /// RSA of 2048 bits, or Ed25519.
  [[nodiscard]] static DkimKey generate(Kind kind);

  [[nodiscard]] Kind kind() const;
  /// As in k= and before "-sha256" in a=: "rsa", "ed25519".
  [[nodiscard]] std::string algorithm() const;
  [[nodiscard]] int bits() const;
  /// The public key as in p=, base64.
  [[nodiscard]] std::string public_record() const;
  /// The TXT record for the selector (RFC 6376 §3.6.1), in one piece; service: as in s=, empty for
  /// a key without s=.
  [[nodiscard]] std::string record(std::string_view service) const;
  /// PKCS#8, not encrypted: the caller's to keep secret.
  [[nodiscard]] std::string pem() const;

  /// The signature over the SHA-256 of text (RFC 8017 §8.2 or RFC 8463 §3), raw; the same for the
  /// same text.
  [[nodiscard]] std::string sign(std::string_view text) const;

 private:
  explicit DkimKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}

  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace relay::message
