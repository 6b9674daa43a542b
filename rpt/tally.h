// Counts of session results by UTC day, report domain, policy and failure (RFC 8460 §4.2), and the
// order and size in which a report shows them. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
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

/// The row that stands for so many details of a type, at least: reason "folded:N". A store that
/// keeps only so many details of a policy counts every further one as folded_detail(type, 1).
[[nodiscard]] FailureDetail folded_detail(ResultType type, std::uint64_t details);

/// How many details a row stands for if it stands for folded ones; nullopt: it is one itself.
[[nodiscard]] std::optional<std::uint64_t> folded_details(const FailureDetail& failure);

/// At most max_details failures, equal ones joined, the most frequent first, then by result type,
/// MX host, receiving and sending address. The rest, and what is folded already, follows as one
/// element per result type, so that the counts still add up.
[[nodiscard]] std::vector<CountedFailure> fold_details(const std::vector<CountedFailure>& rows,
                                                       std::size_t max_details);
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
