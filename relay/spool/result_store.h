// TLS-RPT counts on disk, by UTC day, report domain, policy and failure (RFC 8460 §4.2, §4.4).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>

#include "relay/spool/database.h"
#include "rpt/tally.h"

namespace relay::spool {

class ResultStore {
 public:
  static Sql<std::unique_ptr<ResultStore>> open(Database& database);
  /// Adds counts to those of a day; part of the caller's transaction.
  Sql<void> add(std::chrono::sys_days day, const rpt::Tally& tally);
  /// After a rollback: what was added since the last commit is not on disk.
  void rolled_back() { policy_ids_.clear(); }

 private:
  ResultStore() = default;
  Sql<std::int64_t> policy_id(const rpt::PolicyDescription& policy);
  Sql<void> add_counts(std::int64_t day, const rpt::Tally::Key& key,
                       const rpt::PolicyCounts& counts);

  Statement find_policy_, insert_policy_, count_sessions_, count_failure_;
  std::map<rpt::PolicyDescription, std::int64_t> policy_ids_;
};

Sql<rpt::Tally> read_tally(Database& database, std::chrono::sys_days day);

}  // namespace relay::spool
