// TLS-RPT counts on disk, by UTC day, report domain, policy and failure (RFC 8460 §4.2, §4.4).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "relay/spool/database.h"
#include "rpt/tally.h"

namespace relay::spool {

class ResultStore {
 public:
  static Sql<std::unique_ptr<ResultStore>> open(Database& database);
  /// Adds counts to those of a day; part of the caller's transaction.
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
  /// Runs a statement for the sessions of each policy, and one for each of their failures.
  Sql<void> for_each(std::chrono::sys_days day, const rpt::Tally& tally, Statement& sessions,
                     Statement& failures);
  Sql<void> run(std::int64_t day, const rpt::Tally::Key& key, const rpt::PolicyCounts& counts,
                Statement& sessions, Statement& failures);

  Statement find_policy_, insert_policy_, count_sessions_, count_failure_;
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
