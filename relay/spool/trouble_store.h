// PolicyTrouble on disk, by policy domain.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "relay/net/clock.h"
#include "relay/spool/database.h"
#include "relay/spool/policy_trouble.h"

namespace relay::spool {

class TroubleStore {
 public:
  static Sql<std::unique_ptr<TroubleStore>> open(Database& database);
  /// Stores or replaces a domain's troubles; empty ones are removed.
  Sql<void> save(const PolicyTrouble& trouble, net::WallTime at);
  Sql<void> remove(const std::string& domain);

 private:
  TroubleStore() = default;
  Statement save_, remove_;
};

/// Reads all, by domain. Fields that this version does not understand are left out.
Sql<void> read_troubles(Database& database, const std::function<void(PolicyTrouble)>& visit);

}  // namespace relay::spool
