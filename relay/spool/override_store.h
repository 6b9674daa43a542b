// The operator's overrides on disk: what a command sets survives a restart.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "relay/spool/database.h"
#include "relay/spool/policy_override.h"

namespace relay::spool {

class OverrideStore {
 public:
  static Sql<std::unique_ptr<OverrideStore>> open(Database& database);
  /// Stores or replaces a domain's override.
  Sql<void> save(const PolicyOverride& rule);
  /// Answer: how many there were, 0 or 1.
  Sql<std::int64_t> remove(const std::string& domain);

 private:
  OverrideStore() = default;
  Statement save_, remove_;
};

/// Every stored override by domain, ended ones too.
Sql<std::vector<PolicyOverride>> read_overrides(Database& database);

}  // namespace relay::spool
