// Discovery of the policy of one domain for one delivery (RFC 8461 §3, §5.1) as a step machine:
// cache → TXT record → HTTPS policy → verdict. No I/O: the driver performs each step and feeds the
// answer back.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sts/policy.h"
#include "sts/policy_cache.h"

namespace sts {

// --- Steps -----------------------------------------------------------------------------------
/// Ask for TXT records of name.
struct QueryRecord {
  std::string name;  ///< "_mta-sts.example.com"
};
/// GET https://<host>/.well-known/mta-sts.txt
struct FetchPolicy {
  std::string host;  ///< "mta-sts.example.com"
};

/// Why a promised policy could not be had (RFC 8460 §4.3.2).
struct DiscoveryFault {
  enum class Kind { fetch_error, policy_invalid, webpki_invalid };
  Kind kind;
  std::string reason;  ///< short code: "http-404", "timeout", "no-mx", "X509_V_ERR_…"
};

/// The end: what applies to this delivery, and what the driver shall keep.
struct PolicyVerdict {
  enum class Source { none, cache, fetched };
  /// The policy in force; null: none. Mode none is given here too (it counts as no policy).
  std::shared_ptr<const CachedPolicy> policy;
  Source source = Source::none;
  /// Set when a fetch was due and failed, also when a cached policy goes on in force.
  std::optional<DiscoveryFault> fault;
  /// A fresh policy to store (also durably), with the old one's place taken; null: nothing.
  std::shared_ptr<const CachedPolicy> store;
  std::optional<FetchBackoff> backoff;  ///< set: remember; a successful fetch clears it
  bool clear_backoff = false;
  std::vector<Diagnostic> diagnostics;  ///< of the body fetched now
  std::string note;                     ///< one sentence for the log, e.g. why no policy
};

using DiscoveryStep = std::variant<QueryRecord, FetchPolicy, PolicyVerdict>;

// --- Answers ---------------------------------------------------------------------------------
/// TXT records, one string per RR with its character-strings joined.
struct RecordAnswer {
  std::vector<std::string> records;
};
struct RecordAbsent {};
struct RecordFailure {
  std::string reason;
};
using RecordResult = std::variant<RecordAnswer, RecordAbsent, RecordFailure>;

struct HttpAnswer {
  int status = 0;
  std::string content_type;
  std::string body;
};
struct HttpFailure {
  bool certificate = false;  ///< the policy host's certificate is at fault
  std::string reason;        ///< short code
};
using FetchResult = std::variant<HttpAnswer, HttpFailure>;

class Discovery {
 public:
  /// cached: the domain's unexpired policy or null; backoff: what is remembered or null.
  Discovery(std::string domain, std::shared_ptr<const CachedPolicy> cached,
            const FetchBackoff* backoff, ToAscii to_ascii = {});

  [[nodiscard]] DiscoveryStep start();
  [[nodiscard]] DiscoveryStep on_record(const RecordResult& result, Time now);
  [[nodiscard]] DiscoveryStep on_policy(const FetchResult& result, Time now);

 private:
  std::string domain_;
  std::shared_ptr<const CachedPolicy> cached_;
  std::optional<FetchBackoff> backoff_;
  ToAscii to_ascii_;
  std::string id_;
};

}  // namespace sts
