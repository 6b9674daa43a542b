// Counts of session results by UTC day, report domain, policy and failure (RFC 8460 §4.2). Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
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
  /// Counts a session; texts are brought into canonical form first (addresses RFC 5952, helo to
  /// its first word, TLSA strings upper-case and sorted).
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

}  // namespace rpt
