// Applies a group of requests to the tables in one transaction.
// Threading: the spool thread's.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "relay/spool/client_hold_store.h"
#include "relay/spool/database.h"
#include "relay/spool/id_source.h"
#include "relay/spool/message_store.h"
#include "relay/spool/override_store.h"
#include "relay/spool/pause_store.h"
#include "relay/spool/policy_store.h"
#include "relay/spool/report_store.h"
#include "relay/spool/requests.h"
#include "relay/spool/result_store.h"
#include "relay/spool/trouble_store.h"

namespace relay::spool {

class GroupCommit {
 public:
  static Sql<std::unique_ptr<GroupCommit>> open(Database& database, const IdSource& ids);
  /// All of the group is on disk when it returns without an error, and nothing of it otherwise
  /// (unless the disk is no longer to be trusted: SqlError::fatal()).
  Sql<void> commit(std::span<Request> group);
  /// At an orderly end: a restart goes on from the last id given out.
  Sql<void> save_last_id();

 private:
  GroupCommit(Database& database, const IdSource& ids) : database_(database), ids_(ids) {}
  Sql<void> commit_all(std::span<Request> group);
  Sql<void> apply(WriteSlice& request);
  Sql<void> apply(CommitMessage& request);
  Sql<void> apply(Settle& request);
  Sql<void> apply(Count& request);
  Sql<void> apply(ChangeMessages& request);
  Sql<void> apply(SavePause& request);
  Sql<void> apply(RemovePause& request);
  Sql<void> apply(SaveClientHold& request);
  Sql<void> apply(RemoveClientHold& request);
  Sql<void> apply(SavePolicy& request);
  Sql<void> apply(ForgetPolicy& request);
  Sql<void> apply(SaveTrouble& request);
  Sql<void> apply(PurgePolicies& request);
  Sql<void> apply(SaveOverride& request);
  Sql<void> apply(RemoveOverride& request);
  Sql<void> apply(WriteReport& request);
  Sql<void> apply(Sweep& request);
  Sql<void> end_removed(const MessageChange& change, ChangeMessages& request);
  Sql<void> settle_delay(Settle& request);
  Sql<void> settle_report(const Settlement& settlement);
  Sql<void> store_notice(const Notice& notice);
  void count(const std::vector<rpt::SessionResult>& sessions);
  Sql<void> apply_all(std::span<Request> group);

  Database& database_;
  const IdSource& ids_;
  std::unique_ptr<MessageStore> messages_;
  std::unique_ptr<PolicyStore> policies_;
  std::unique_ptr<TroubleStore> troubles_;
  std::unique_ptr<OverrideStore> overrides_;
  std::unique_ptr<ResultStore> results_;
  std::unique_ptr<ReportStore> reports_;
  std::unique_ptr<PauseStore> pauses_;
  std::unique_ptr<ClientHoldStore> client_holds_;
  std::map<std::chrono::sys_days, rpt::Tally> tallies_;  // of the transaction under way
  std::int64_t id_ceiling_ = 0;                          // on disk: ids below it may be in use
};

}  // namespace relay::spool
