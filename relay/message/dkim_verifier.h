// Checks DKIM signatures (RFC 6376 §6): rsa-sha256 and ed25519-sha256 (RFC 8463), both
// canonicalizations, as receivers of TLS reports have to (RFC 8460 §3). Pure, in two steps: what
// the message says alone, then the verdict by the key that someone has looked up.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relay/message/date_time.h"

namespace relay::message {

/// What a DKIM-Signature field claims, checked as far as that goes without its key.
struct DkimClaim {
  std::string domain;     ///< d=, lower case
  std::string selector;   ///< s=
  std::string algorithm;  ///< "rsa" or "ed25519"
  /// Why no key can make it good, a stable word: "malformed", "version", "algorithm",
  /// "canonicalization", "from-not-signed", "identity", "query-method", "length-limited" (RFC 8460
  /// §3 forbids l=), "expired", "body-changed"; empty: it is the key's turn.
  std::string fault;

  std::string identity_domain;  ///< that of i=, lower case
  std::string input;            ///< what is signed
  std::string signature;        ///< octets

  /// Where the key's TXT record is: "<s=>._domainkey.<d=>", lower case.
  [[nodiscard]] std::string key_name() const;
};

inline constexpr std::size_t kMaxDkimClaims = 10;

/// Those of a message with CRLF line ends, from above; of more than kMaxDkimClaims the first.
[[nodiscard]] std::vector<DkimClaim> dkim_claims(std::string_view message, Time now);

enum class DkimResult {
  pass,
  fail,       ///< RFC 6376 §6.1: PERMFAIL, and what comes to the same
  temporary,  ///< the key could not be looked up
};
[[nodiscard]] std::string_view name(DkimResult result);  ///< "pass", "fail", "temporary"

struct DkimVerdict {
  DkimResult result = DkimResult::fail;
  /// Why not pass: a fault of DkimClaim, of DkimPublicKey, or "no-key", "several-keys",
  /// "key-kind", "key-hash", "key-service" (neither mail nor tlsrpt in s=), "signature-wrong".
  std::string reason;
  bool declares_reports = false;  ///< the key's record has s=tlsrpt
};

/// records: the TXT records at key_name().
[[nodiscard]] DkimVerdict judge(const DkimClaim& claim, std::span<const std::string> records);

}  // namespace relay::message
