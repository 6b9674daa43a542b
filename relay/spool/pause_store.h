// Rows of destinations that rest; every change is part of the caller's transaction.
// Threading: that of the database connection.
#pragma once

#include <memory>
#include <vector>

#include "relay/spool/database.h"
#include "relay/spool/message_change.h"

namespace relay::spool {

class PauseStore {
 public:
  static Sql<std::unique_ptr<PauseStore>> open(Database& database);
  /// Stores one, or its new reason; since when and by whom stays.
  Sql<void> save(const Pause& pause);
  /// Answer: how many there were, 0 or 1.
  Sql<std::int64_t> remove(Pause::Kind kind, const std::string& name);

 private:
  PauseStore() = default;
  Statement save_, remove_;
};

/// All, everything first, then by name.
Sql<std::vector<Pause>> read_pauses(Database& database);

}  // namespace relay::spool
