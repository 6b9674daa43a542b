// Rows of clients whose mail is held; every change is part of the caller's transaction.
// Threading: that of the database connection.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "relay/spool/client_hold.h"
#include "relay/spool/database.h"

namespace relay::spool {

class ClientHoldStore {
 public:
  static Sql<std::unique_ptr<ClientHoldStore>> open(Database& database);
  /// Stores (replaces) one.
  Sql<void> save(const ClientHold& hold);
  /// Answer: how many there were, 0 or 1.
  Sql<std::int64_t> remove(const std::string& name);

 private:
  ClientHoldStore() = default;
  Statement save_, remove_;
};

/// All, by name.
Sql<std::vector<ClientHold>> read_client_holds(Database& database);

}  // namespace relay::spool
