// The MTA-STS policy cache on disk (RFC 8461 §3.3, §10.2: a cached policy survives a restart), and
// the policies that were replaced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/spool/database.h"
#include "relay/spool/spool.h"
#include "sts/policy_cache.h"

namespace relay::spool {

class PolicyStore {
 public:
  static Sql<std::unique_ptr<PolicyStore>> open(Database& database);
  /// Stores or replaces a domain's policy; a different one before it goes into the history.
  Sql<void> save(const sts::CachedPolicy& policy, const PolicyWrite& write);
  Sql<void> forget(const std::string& domain, const PolicyWrite& write);
  /// Removes some of what Spool::purge_policies() names. Answer: how many rows.
  Sql<std::int64_t> purge(net::WallTime now);

 private:
  PolicyStore() = default;
  Sql<void> remember(const std::string& domain, std::string_view id, std::string_view body,
                     const PolicyWrite& write);
  Statement save_, forget_, remember_, trim_;
  Statement purge_policies_, purge_troubles_, purge_history_;
};

/// A row that was read: the policy, or only its domain if the row is damaged (its checksum is
/// wrong, or this version does not take what it holds).
using StoredPolicy = Expected<std::shared_ptr<const sts::CachedPolicy>, std::string>;

/// Reads stored policies, expired ones too, by domain after a given one ("": from the first), at
/// most limit.
Sql<void> read_policies(Database& database, std::string_view after, std::size_t limit,
                        const std::function<void(StoredPolicy)>& visit);
/// The stored policy of one domain; nullopt: none, or a damaged one.
Sql<std::shared_ptr<const sts::CachedPolicy>> read_policy(Database& database,
                                                          const std::string& domain);
/// What the domain's policy replaced, the latest first.
Sql<std::vector<ReplacedPolicy>> read_history(Database& database, const std::string& domain);

}  // namespace relay::spool
