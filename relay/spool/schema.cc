#include "relay/spool/schema.h"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

namespace relay::spool {

namespace {

constexpr std::int64_t kApplicationId = 0x53545352;  // "STSR"
// page_size and auto_vacuum take effect only before the first table. secure_delete, on by default
// in Debian's library, would write every page of a delivered message once more.
constexpr const char* kConnection = R"(
PRAGMA page_size = 8192;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA journal_size_limit = 67108864;
PRAGMA cache_size = -4096;
PRAGMA secure_delete = OFF;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
)";

constexpr const char* kTables = R"(
CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  slices INTEGER NOT NULL,
  origin INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  size INTEGER NOT NULL,
  sender TEXT NOT NULL,
  ret TEXT NOT NULL,
  envid TEXT NOT NULL,
  client_ip TEXT NOT NULL,
  client_helo TEXT NOT NULL
) STRICT;
CREATE TABLE recipients (
  key INTEGER PRIMARY KEY,
  attempts INTEGER NOT NULL,
  next_try INTEGER NOT NULL,
  address TEXT NOT NULL,
  domain TEXT NOT NULL,
  notify TEXT NOT NULL,
  orcpt TEXT NOT NULL,
  last_result TEXT NOT NULL
) STRICT;
CREATE TABLE slices (
  key INTEGER PRIMARY KEY,
  crc INTEGER NOT NULL,
  content BLOB NOT NULL
) STRICT;
-- Messages whose slices nothing refers to: still being received, or gone and not yet swept.
CREATE TABLE loose_slices (
  message INTEGER PRIMARY KEY
) STRICT;
CREATE TABLE id_ceiling (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  value INTEGER NOT NULL
) STRICT;
CREATE TABLE sts_policies (
  domain TEXT PRIMARY KEY,
  id TEXT NOT NULL,
  mode TEXT NOT NULL,
  max_age INTEGER NOT NULL,
  mx TEXT NOT NULL,
  body TEXT NOT NULL,
  fetched_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- What sessions were judged by: a JSON array, found by its CRC.
CREATE TABLE report_policies (
  id INTEGER PRIMARY KEY,
  crc INTEGER NOT NULL,
  description TEXT NOT NULL
) STRICT;
CREATE INDEX report_policies_by_crc ON report_policies (crc);
CREATE TABLE session_counts (
  day INTEGER NOT NULL,
  report_domain TEXT NOT NULL,
  policy INTEGER NOT NULL,
  successful INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  PRIMARY KEY (day, report_domain, policy)
) STRICT, WITHOUT ROWID;
CREATE TABLE failure_counts (
  day INTEGER NOT NULL,
  report_domain TEXT NOT NULL,
  policy INTEGER NOT NULL,
  type TEXT NOT NULL,
  sending_mta_ip TEXT NOT NULL,
  receiving_mx_hostname TEXT NOT NULL,
  receiving_mx_helo TEXT NOT NULL,
  receiving_ip TEXT NOT NULL,
  reason_code TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (day, report_domain, policy, type, sending_mta_ip, receiving_mx_hostname,
               receiving_mx_helo, receiving_ip, reason_code)
) STRICT, WITHOUT ROWID;
)";

// What each version added to the tables of version 1; a spool of any older version is brought up
// step by step.
constexpr std::array kSteps = {
    // 2: policies with a checksum (none: stored by version 1), and those that were replaced.
    R"(
ALTER TABLE sts_policies ADD COLUMN crc INTEGER;
CREATE TABLE sts_policy_history (
  domain TEXT NOT NULL,
  n INTEGER NOT NULL,
  id TEXT NOT NULL,
  mode TEXT NOT NULL,
  max_age INTEGER NOT NULL,
  body TEXT NOT NULL,
  fetched_at INTEGER NOT NULL,
  replaced_at INTEGER NOT NULL,
  why TEXT NOT NULL,
  PRIMARY KEY (domain, n)
) STRICT, WITHOUT ROWID;
)",
    // 3: the operator's overrides.
    R"(
CREATE TABLE policy_overrides (
  domain TEXT PRIMARY KEY,
  level TEXT NOT NULL,
  mx TEXT NOT NULL,
  fingerprints TEXT NOT NULL,
  until INTEGER NOT NULL,
  reason TEXT NOT NULL,
  report_only INTEGER NOT NULL,
  set_by TEXT NOT NULL,
  set_at INTEGER NOT NULL,
  ended INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)",
    // 4: troubles with policies, and what finds the old rows among policies (max_age is a year at
    // most, so that one whose expiry is damaged has an end as well) and their history.
    R"(
CREATE TABLE sts_troubles (
  domain TEXT PRIMARY KEY,
  backoff_id TEXT NOT NULL,
  retry_at INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  tried_at INTEGER NOT NULL,
  fault TEXT NOT NULL,
  reason TEXT NOT NULL,
  failing_since INTEGER NOT NULL,
  said TEXT NOT NULL,
  failing_fault TEXT NOT NULL,
  failing_reason TEXT NOT NULL,
  loss_told INTEGER NOT NULL,
  saved_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sts_troubles_by_age ON sts_troubles (saved_at);
CREATE INDEX sts_policies_by_end ON sts_policies (min(expires_at, fetched_at + 31622400000));
CREATE INDEX sts_policy_history_by_age ON sts_policy_history (replaced_at);
)",
    // 5: TLS-RPT reports: who wants them, what they say, how far they are; who is left alone; and
    // how much of what was counted they say.
    R"(
ALTER TABLE session_counts ADD COLUMN closed_successful INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session_counts ADD COLUMN closed_failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE failure_counts ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
CREATE TABLE report_records (
  day INTEGER NOT NULL,
  domain TEXT NOT NULL,
  uris TEXT NOT NULL,
  PRIMARY KEY (day, domain)
) STRICT, WITHOUT ROWID;
CREATE TABLE reports (
  day INTEGER NOT NULL,
  domain TEXT NOT NULL,
  part INTEGER NOT NULL,
  state TEXT NOT NULL,
  due INTEGER NOT NULL,
  id TEXT NOT NULL,
  file_name TEXT NOT NULL,
  rendered_at INTEGER NOT NULL,
  summary TEXT NOT NULL,
  content BLOB NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (day, domain, part)
) STRICT;
CREATE INDEX reports_due ON reports (due) WHERE state = 'planned';
CREATE TABLE report_deliveries (
  day INTEGER NOT NULL,
  domain TEXT NOT NULL,
  part INTEGER NOT NULL,
  uri TEXT NOT NULL,
  stage TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  first_attempt INTEGER NOT NULL,
  next_attempt INTEGER NOT NULL,
  result TEXT NOT NULL,
  message INTEGER NOT NULL,
  PRIMARY KEY (day, domain, part, uri)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_deliveries_due ON report_deliveries (next_attempt)
  WHERE stage IN ('rendered', 'handed-over') AND message = 0;
CREATE INDEX report_deliveries_by_message ON report_deliveries (message) WHERE message != 0;
CREATE TABLE report_suppressions (
  uri TEXT PRIMARY KEY,
  until INTEGER NOT NULL,
  why TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)",
    // 6: what operators do to the queue: messages held, destinations paused; classes of priority.
    R"(
ALTER TABLE messages ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
ALTER TABLE messages ADD COLUMN user TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN held TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN held_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN life_from INTEGER NOT NULL DEFAULT 0;
UPDATE messages SET life_from = received_at;
ALTER TABLE recipients ADD COLUMN last_try INTEGER NOT NULL DEFAULT 0;
CREATE TABLE queue_pauses (
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  reason TEXT NOT NULL,
  since INTEGER NOT NULL,
  set_by TEXT NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
-- What was imported: ids and arrivals in the queues where it was before, and what it became here.
CREATE TABLE queue_imports (
  id INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  message INTEGER NOT NULL,
  PRIMARY KEY (id, received_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_imports_by_message ON queue_imports (message);
)",
    // 7: clients whose mail is held.
    R"(
CREATE TABLE client_holds (
  name TEXT PRIMARY KEY,
  reason TEXT NOT NULL,
  since INTEGER NOT NULL,
  set_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)",
    // 8: where messages came in.
    "ALTER TABLE messages ADD COLUMN listener TEXT NOT NULL DEFAULT '';",
};
constexpr std::int64_t kVersion = 1 + std::int64_t{kSteps.size()};

Unexpected<std::string> refusal(const SqlError& error) {
  return Unexpected<std::string>("cannot be used: " + error.fault().reason);
}

Expected<std::int64_t, std::string> checked_version(Database& database) {
  const auto application = database.integer("PRAGMA application_id");
  if (!application) {
    return refusal(application.error());
  }
  const auto tables = database.integer("SELECT count(*) FROM sqlite_schema");
  if (!tables) {
    return refusal(tables.error());
  }
  if (*application != kApplicationId && (*application != 0 || *tables != 0)) {
    return Unexpected<std::string>("is an SQLite database, but not one of stsrelay");
  }
  const auto version = database.integer("PRAGMA user_version");
  if (!version) {
    return refusal(version.error());
  }
  if (*version > kVersion) {
    return Unexpected<std::string>(fmt::format(
        "was written by a newer stsrelay (schema {}, this one knows {}): start that version, or "
        "let it deliver the queue first",
        *version, kVersion));
  }
  return *version;
}

/// version: of the spool as it is; 0: it is new.
Expected<void, std::string> bring_up(Database& database, std::int64_t version) {
  auto transaction = Transaction::begin(database, Transaction::Access::write);
  if (!transaction) {
    return refusal(transaction.error());
  }
  std::string statements = version == 0 ? kTables : "";
  for (auto step = std::max<std::int64_t>(version, 1); step < kVersion; ++step) {
    statements += kSteps.at(static_cast<std::size_t>(step - 1));
  }
  statements += fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId,
                            kVersion);
  auto done = database.execute(statements);
  if (done) {
    done = (*transaction)->commit();
  }
  if (!done) {
    return refusal(done.error());
  }
  return {};
}

}  // namespace

Expected<void, std::string> prepare_for_writing(Database& database) {
  const auto version = checked_version(database);
  if (!version) {
    return Unexpected<std::string>(version.error());
  }
  auto set = database.execute(kConnection);
  if (!set) {
    return refusal(set.error());
  }
  if (*version < kVersion) {
    return bring_up(database, *version);
  }
  return {};
}

Expected<void, std::string> prepare_for_reading(Database& database) {
  const auto version = checked_version(database);
  if (!version) {
    return Unexpected<std::string>(version.error());
  }
  if (*version == 0) {
    return Unexpected<std::string>("holds no queue yet");
  }
  if (*version < kVersion) {
    return Unexpected<std::string>("was written by an older stsrelay and not yet opened by this");
  }
  auto set = database.execute(
      "PRAGMA query_only = ON; PRAGMA cache_size = -512; "
      "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;");
  if (!set) {
    return refusal(set.error());
  }
  return {};
}

}  // namespace relay::spool
