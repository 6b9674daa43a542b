#include "relay/spool/database.h"

#include <cerrno>
#include <cstring>

#include <sqlite3.h>

namespace relay::spool {

namespace {

// Long enough for an operator's own sqlite3 session that holds the write lock for a moment.
constexpr int kBusyMilliseconds = 30'000;
// Mail waits as long as a checkpoint does.
constexpr int kReaderMilliseconds = 200;

int primary(int code) {
  return code & 0xff;
}

SqlError last_error(sqlite3* handle) {
  SqlError error;
  if (handle == nullptr) {
    error.code = SQLITE_NOMEM;
    error.message = sqlite3_errstr(SQLITE_NOMEM);
    return error;
  }
  error.code = sqlite3_extended_errcode(handle);
  error.message = sqlite3_errmsg(handle);
  if (primary(error.code) == SQLITE_IOERR || primary(error.code) == SQLITE_CANTOPEN ||
      primary(error.code) == SQLITE_FULL) {
    error.system_error = sqlite3_system_errno(handle);
  }
  return error;
}

int note_log_pages(void* counter, sqlite3* /*handle*/, const char* /*schema*/, int pages) noexcept {
  *static_cast<int*>(counter) = pages;
  return SQLITE_OK;
}

}  // namespace

bool SqlError::disk_full() const {
  if (primary(code) == SQLITE_FULL) {
    return true;
  }
  // A quota, or no room for the log's index. Not after a failed fsync: what that left on disk is
  // unknown, whatever its errno.
  return (code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE) &&
         (system_error == ENOSPC || system_error == EDQUOT);
}

bool SqlError::fatal() const {
  if (disk_full()) {
    return false;
  }
  switch (primary(code)) {
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
      return true;
    default:
      return false;
  }
}

bool SqlError::locked() const {
  return primary(code) == SQLITE_BUSY || primary(code) == SQLITE_LOCKED;
}

StoreFault SqlError::fault() const {
  std::string reason = message + " (SQLite code " + std::to_string(code) + ")";
  if (system_error != 0) {
    reason += std::string(": ") + ::strerrordesc_np(system_error);
  }
  return {disk_full() ? StoreFault::Kind::disk_full : StoreFault::Kind::io_error,
          std::move(reason)};
}

std::int64_t Row::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string_view Row::text(int column) const {
  const void* octets = sqlite3_column_blob(statement_, column);
  if (octets == nullptr) {
    return {};
  }
  return {static_cast<const char*>(octets),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

void Statement::Finalize::operator()(sqlite3_stmt* handle) const noexcept {
  sqlite3_finalize(handle);
}

void Statement::bind(int position, std::int64_t value) {
  const int result = sqlite3_bind_int64(handle_.get(), position, value);
  bind_failure_ = bind_failure_ == 0 ? result : bind_failure_;
}

void Statement::bind(int position, std::string_view value) {
  // A null pointer would bind NULL.
  const char* text = value.empty() ? "" : value.data();
  const int result =
      sqlite3_bind_text64(handle_.get(), position, text, value.size(), nullptr, SQLITE_UTF8);
  bind_failure_ = bind_failure_ == 0 ? result : bind_failure_;
}

void Statement::bind(int position, Blob value) {
  const char* octets = value.octets.empty() ? "" : value.octets.data();
  const int result =
      sqlite3_bind_blob64(handle_.get(), position, octets, value.octets.size(), nullptr);
  bind_failure_ = bind_failure_ == 0 ? result : bind_failure_;
}

Sql<bool> Statement::step() {
  if (bind_failure_ != 0) {
    return Unexpected<SqlError>({bind_failure_, 0, sqlite3_errstr(bind_failure_)});
  }
  const int result = sqlite3_step(handle_.get());
  if (result == SQLITE_ROW || result == SQLITE_DONE) {
    return result == SQLITE_ROW;
  }
  return Unexpected<SqlError>(last_error(sqlite3_db_handle(handle_.get())));
}

Sql<std::int64_t> Statement::finish() {
  auto more = step();
  while (more && *more) {
    more = step();
  }
  const auto changed = sqlite3_changes64(sqlite3_db_handle(handle_.get()));
  reset();
  if (!more) {
    return Unexpected<SqlError>(std::move(more.error()));
  }
  return std::int64_t{changed};
}

void Statement::reset() {
  // Its result repeats the step's error, which has been taken.
  static_cast<void>(sqlite3_reset(handle_.get()));
  bind_failure_ = 0;
}

void Database::Close::operator()(sqlite3* handle) const noexcept {
  sqlite3_close_v2(handle);
}

Database::Database(sqlite3* handle) : log_pages_(std::make_unique<int>(0)), handle_(handle) {
  if (handle != nullptr) {
    // Replaces SQLite's automatic checkpoint, which would run inside a commit.
    sqlite3_wal_hook(handle, &note_log_pages, log_pages_.get());
  }
}

SqlError Database::error() const {
  return last_error(handle_.get());
}

Sql<Database> Database::open(const std::string& path, Access access, const std::string& vfs) {
  // Each connection is used by one thread at a time, so SQLite need not lock it.
  const int flags = SQLITE_OPEN_NOMUTEX |
                    (access == Access::read_write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                                                  : SQLITE_OPEN_READONLY);
  sqlite3* handle = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  Database database(handle);
  if (result != SQLITE_OK) {
    return Unexpected<SqlError>(database.error());
  }
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  return database;
}

Sql<void> Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Unexpected<SqlError>(error());
  }
  return {};
}

Sql<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
    return Unexpected<SqlError>(error());
  }
  return Statement(statement);
}

Sql<void> Database::prepare(
    std::initializer_list<std::pair<Statement*, std::string_view>> statements) {
  for (const auto& [statement, sql] : statements) {
    auto prepared = prepare(sql);
    if (!prepared) {
      return Unexpected<SqlError>(std::move(prepared.error()));
    }
    *statement = std::move(*prepared);
  }
  return {};
}

Sql<std::int64_t> Database::integer(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) {
    return Unexpected<SqlError>(std::move(statement.error()));
  }
  std::int64_t value = 0;
  auto read = statement->each([&](const Row& row) { value = row.integer(0); });
  if (!read) {
    return Unexpected<SqlError>(std::move(read.error()));
  }
  return value;
}

Sql<Database::LogState> Database::checkpoint(Checkpoint mode) {
  int sqlite_mode = SQLITE_CHECKPOINT_PASSIVE;
  switch (mode) {
    case Checkpoint::passive:
      break;
    case Checkpoint::restart:
      sqlite_mode = SQLITE_CHECKPOINT_RESTART;
      break;
  }
  LogState state;
  sqlite3_busy_timeout(handle_.get(), kReaderMilliseconds);
  const int result = sqlite3_wal_checkpoint_v2(handle_.get(), nullptr, sqlite_mode, &state.pages,
                                               &state.checkpointed);
  sqlite3_busy_timeout(handle_.get(), kBusyMilliseconds);
  if (result != SQLITE_OK && primary(result) != SQLITE_BUSY) {
    return Unexpected<SqlError>(error());
  }
  return state;
}

void Database::release_memory() {
  sqlite3_db_release_memory(handle_.get());
}

Sql<std::unique_ptr<Transaction>> Transaction::begin(Database& database, Access access) {
  auto begun = database.execute(access == Access::write ? "BEGIN IMMEDIATE" : "BEGIN");
  if (!begun) {
    return Unexpected<SqlError>(std::move(begun.error()));
  }
  return std::unique_ptr<Transaction>(new Transaction(database));
}

Sql<void> Transaction::commit() {
  return database_.execute("COMMIT");
}

Transaction::~Transaction() {
  // Still open: not committed, or the commit failed and left it so.
  if (sqlite3_get_autocommit(database_.handle_.get()) == 0) {
    static_cast<void>(database_.execute("ROLLBACK"));
  }
}

}  // namespace relay::spool
