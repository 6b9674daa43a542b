// TLS-RPT counts on disk, by UTC day, report domain, policy and failure (RFC 8460 §4.2, §4.4).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "relay/spool/database.h"
#include "rpt/tally.h"

namespace relay::spool {

class ResultStore {
 public:
  static Sql<std::unique_ptr<ResultStore>> open(Database& database);
  /// Adds counts to those of a day; part of the caller's transaction. Of a policy with 1000 kinds
  /// of failures all further ones are counted as one for each result type.
  Sql<void> add(std::chrono::sys_days day, const rpt::Tally& tally);
  /// Counts, read before, that no later report is to have again; part of the caller's transaction.
  Sql<void> close(std::chrono::sys_days day, const rpt::Tally& tally);
  /// After a rollback: what was added since the last commit is not on disk.
  void rolled_back() { policy_ids_.clear(); }
  /// Policies that nothing counted any more may be gone.
  void policies_removed() { policy_ids_.clear(); }

 private:
  ResultStore() = default;
  Sql<std::int64_t> policy_id(const rpt::PolicyDescription& policy);
  /// How often a failure was seen under a policy.
  struct FailureCount {
    std::int64_t day;
    std::string_view report_domain;
    std::int64_t policy;
    std::reference_wrapper<const rpt::FailureDetail> failure;
    std::uint64_t sessions;
  };
  using CountFailure = std::function<Sql<std::int64_t>(const FailureCount&)>;

  /// Runs a statement for the sessions of each policy, and count_failure for each of their
  /// failures.
  Sql<void> for_each(std::chrono::sys_days day, const rpt::Tally& tally, Statement& sessions,
                     const CountFailure& count_failure);
  static Sql<std::int64_t> run(Statement& statement, const FailureCount& counted);
  /// Rows of the failure's policy.
  Sql<std::int64_t> details_kept(const FailureCount& counted);

  Statement find_policy_, insert_policy_, count_sessions_;
  Statement count_known_failure_, count_details_, count_failure_;
  Statement close_sessions_, close_failure_;
  std::map<rpt::PolicyDescription, std::int64_t> policy_ids_;
};

/// Which counts of a day.
struct TallyQuery {
  std::chrono::sys_days day{};
  std::string report_domain;  ///< empty: those of all
  enum class Counts { all, unreported } counts = Counts::all;
};
/// As of one moment.
Sql<rpt::Tally> read_tally(Database& database, const TallyQuery& query);

}  // namespace relay::spool
