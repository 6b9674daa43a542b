// The MTA-STS policy cache on disk (RFC 8461 §3.3, §10.2: a cached policy survives a restart).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "relay/spool/database.h"
#include "sts/policy_cache.h"

namespace relay::spool {

class PolicyStore {
 public:
  static Sql<std::unique_ptr<PolicyStore>> open(Database& database);
  /// Stores or replaces a domain's policy.
  Sql<void> save(const sts::CachedPolicy& policy);
  Sql<void> forget(const std::string& domain);

 private:
  PolicyStore() = default;
  Statement save_, forget_;
};

/// Every stored policy, expired ones too. One with a pattern that this version does not take is
/// left out: it is fetched again.
Sql<std::vector<sts::CachedPolicy>> read_policies(Database& database);

}  // namespace relay::spool
