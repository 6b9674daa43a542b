// Counts of session results by UTC day, report domain, policy and failure (RFC 8460 §4.2), and the
// order and size in which a report shows them. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rpt/result.h"

namespace rpt {

struct PolicyCounts {
  std::uint64_t successful_sessions = 0;
  std::uint64_t failed_sessions = 0;
  std::map<FailureDetail, std::uint64_t> failures;
};

/// The counts of one UTC day.
class Tally {
 public:
  using Key = std::pair<std::string, PolicyDescription>;  ///< report domain, policy
  /// Counts a session; texts are brought into canonical form first.
  void add(const SessionResult& session);
  void merge(const Tally& other);
  [[nodiscard]] const std::map<Key, PolicyCounts>& counts() const { return counts_; }
  /// Adds stored counts as they are (what a store read back).
  void add_counts(const Key& key, const PolicyCounts& counts);

 private:
  std::map<Key, PolicyCounts> counts_;
};

/// The UTC day a session belongs to: that of its end.
[[nodiscard]] std::chrono::sys_days report_day(const SessionResult& session);

/// A failure and how often it was seen: one element of failure-details.
struct CountedFailure {
  FailureDetail failure;
  std::uint64_t sessions = 0;
  friend auto operator<=>(const CountedFailure&, const CountedFailure&) = default;
};

/// At most max_details failures, the most frequent first, then by result type, MX host, receiving
/// and sending address. The rest follows as one element per result type, whose reason "folded:N"
/// says how many it stands for, so that the counts still add up.
[[nodiscard]] std::vector<CountedFailure> fold_details(
    const std::map<FailureDetail, std::uint64_t>& failures, std::size_t max_details);

/// One element of a report's policies.
struct PolicySummary {
  PolicyDescription policy;
  std::uint64_t successful_sessions = 0;
  std::uint64_t failed_sessions = 0;
  std::vector<CountedFailure> failures;
};

/// What a day's report for a domain says: by policy type (tlsa, sts, no-policy-found), then
/// domain, then strings.
[[nodiscard]] std::vector<PolicySummary> summarize(const Tally& tally,
                                                   const std::string& report_domain,
                                                   std::size_t max_details);

}  // namespace rpt
