// Public keys as they are published for DKIM (RFC 6376 §3.6.1, RFC 8463 §4), with what a record
// allows them for. Pure; immutable: copies share the key.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/expected.h"

struct evp_pkey_st;

namespace relay::message {

class DkimPublicKey {
 public:
  /// record: a TXT record in one piece. The error is a stable word: "key-malformed", "key-revoked",
  /// "key-kind-unknown", "key-too-short" (RFC 8301 §3.2).
  [[nodiscard]] static Expected<DkimPublicKey, std::string> from_record(std::string_view record);

  /// "rsa", "ed25519"
  [[nodiscard]] const std::string& algorithm() const { return algorithm_; }
  /// s=, in lower case: what the key is for; "*" if nothing is said.
  [[nodiscard]] const std::vector<std::string>& services() const { return services_; }
  /// RFC 8460 §3: whether mail that is a TLS report may be signed with it.
  [[nodiscard]] bool serves_reports() const;
  /// Whether it says so itself: s= has tlsrpt.
  [[nodiscard]] bool declares_reports() const;
  /// Whether ordinary mail may be signed with it: s= has email, "*" or is absent.
  [[nodiscard]] bool serves_mail() const;
  /// h=: whether SHA-256 is allowed.
  [[nodiscard]] bool allows_sha256() const { return sha256_; }
  /// t=s: i= must be at d= itself.
  [[nodiscard]] bool is_strict() const { return strict_; }
  /// t=y: the domain only tries DKIM out.
  [[nodiscard]] bool is_testing() const { return testing_; }
  /// As DkimKey::public_record() has it, whatever the form in the record.
  [[nodiscard]] std::string public_record() const;

  /// Whether signature, in octets, is one over text.
  [[nodiscard]] bool verifies(std::string_view text, std::string_view signature) const;

 private:
  DkimPublicKey() = default;

  std::shared_ptr<evp_pkey_st> key_;
  std::string algorithm_;
  std::vector<std::string> services_;
  bool sha256_ = true;
  bool strict_ = false;
  bool testing_ = false;
};

}  // namespace relay::message
