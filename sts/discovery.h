// Discovery of the policy of one domain for one delivery (RFC 8461 §3, §5.1) as a step machine:
// cache → TXT record → HTTPS policy → verdict. No I/O: the driver performs each step and feeds the
// answer back.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
  /// The cached policy was replaced by one that is not to be kept (max_age 0).
  bool forget = false;
  std::optional<FetchBackoff> backoff;  ///< set: remember
  bool clear_backoff = false;
  std::vector<Diagnostic> diagnostics;  ///< of the body fetched now
  std::string note;                     ///< one sentence for the log, e.g. why no policy
  /// Why there is no valid TXT record although a cached policy other than none is in force; empty
  /// where there is one. Whoever blocks the record tries to make the policy be forgotten (§10.2).
  std::string record_fault;
  /// Nobody answered whether there is a TXT record.
  bool record_unknown = false;
  /// Not empty: the delivery is to be deferred, because what applies to it is not known and the
  /// settings ask to wait then. A sentence that says why.
  std::string hold;
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

/// What a discovery is for, and so when it fetches.
enum class Purpose {
  delivery,  ///< if the id is new
  recheck,   ///< all hosts failed under the policy: also under its old id, which may be forgotten
  refresh,   ///< in the background: TXT record or not (§10.2), once a back-off is over
  order,     ///< a person asks: as refresh, also during a back-off
};

/// With nothing cached: whether mail waits for a policy that is promised but not there yet (TOFU,
/// §10.2), and whether it waits for a TXT record that cannot be looked up.
enum class FirstContact { deliver, hold };
enum class OnDnsFailure { proceed, defer };

struct Approach {
  Purpose purpose = Purpose::delivery;
  FirstContact first_contact = FirstContact::deliver;
  OnDnsFailure on_dns_failure = OnDnsFailure::proceed;
  double jitter = 0;  ///< chance, in [0, 1): makes a back-off up to a quarter longer
};

class Discovery {
 public:
  /// cached: the domain's unexpired policy or null; backoff: what is remembered or null.
  Discovery(std::string domain, std::shared_ptr<const CachedPolicy> cached,
            const FetchBackoff* backoff, ToAscii to_ascii = {}, Approach approach = {});

  [[nodiscard]] DiscoveryStep start();
  [[nodiscard]] DiscoveryStep on_record(const RecordResult& result, Time now);
  [[nodiscard]] DiscoveryStep on_policy(const FetchResult& result, Time now);

  /// What applies to a delivery that waits no longer for the step under way, which goes on: as if
  /// that step had failed (§3.3), but with nothing to remember.
  [[nodiscard]] PolicyVerdict without_waiting() const;

 private:
  enum class Due { fetch, back_off, nothing };
  [[nodiscard]] Due due(Time now) const;
  [[nodiscard]] DiscoveryStep without_record(std::string why, Time now);
  [[nodiscard]] DiscoveryStep with_id(Time now);
  [[nodiscard]] PolicyVerdict fall_back(std::optional<DiscoveryFault> fault,
                                        std::string note) const;
  [[nodiscard]] PolicyVerdict failed(DiscoveryFault fault, Time now) const;
  [[nodiscard]] PolicyVerdict replaced_by(Policy policy, Time now) const;
  [[nodiscard]] bool serves_old_policy(const Policy& policy) const;

  std::string domain_;
  std::shared_ptr<const CachedPolicy> cached_;
  std::optional<FetchBackoff> backoff_;
  ToAscii to_ascii_;
  Approach approach_;
  std::string id_;  ///< of the TXT record; empty until there is a valid one
};

/// Keeps in the cache what a verdict asks to keep.
void remember(PolicyCache& cache, std::string_view domain, const PolicyVerdict& verdict, Time now,
              FetchedFor fetched_for = FetchedFor::delivery);

}  // namespace sts
