// SQLite with RAII and errors as values: a connection, its statements, its transaction.
// Threading: a connection and all that came from it belong to one thread at a time.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "relay/net/expected.h"
#include "relay/spool/store_fault.h"

struct sqlite3;
struct sqlite3_stmt;

namespace relay::spool {

struct SqlError {
  int code = 0;          ///< SQLite's extended result code
  int system_error = 0;  ///< errno of the system call that failed, if one did
  std::string message;

  /// Room ran out before anything became durable; the store is sound.
  [[nodiscard]] bool disk_full() const;
  /// The file or the device can no longer be trusted.
  [[nodiscard]] bool fatal() const;
  /// Another connection held a lock for longer than is waited for.
  [[nodiscard]] bool locked() const;
  [[nodiscard]] StoreFault fault() const;
};
template <class T>
using Sql = Expected<T, SqlError>;

/// The error of one result as that of another.
inline Unexpected<SqlError> passed_on(SqlError& error) {
  return Unexpected<SqlError>(std::move(error));
}

/// How many rows were changed is not asked.
inline Sql<void> without_count(Sql<std::int64_t> changed) {
  if (!changed) {
    return passed_on(changed.error());
  }
  return {};
}

/// Octets bound as a BLOB; borrowed.
struct Blob {
  std::string_view octets;
};

/// The current row of a statement; texts are valid until the next row.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string_view text(int column) const;

 private:
  sqlite3_stmt* statement_;
};

/// A prepared statement, used again and again. Values are borrowed for the call.
class Statement {
 public:
  Statement() = default;
  /// Binds ?1, ?2 … and runs the statement. Answer: rows changed.
  template <class... Values>
  Sql<std::int64_t> run(const Values&... values) {
    bind_all(values...);
    return finish();
  }
  /// Binds ?1, ?2 … and calls visit(const Row&) for each row.
  template <class Visit, class... Values>
  Sql<void> each(Visit&& visit, const Values&... values) {
    bind_all(values...);
    auto more = step();
    for (; more && *more; more = step()) {
      visit(Row(handle_.get()));
    }
    reset();
    if (!more) {
      return Unexpected<SqlError>(std::move(more.error()));
    }
    return {};
  }

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const noexcept;
  };

  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}
  template <class... Values>
  void bind_all(const Values&... values) {
    int position = 0;
    (bind(++position, values), ...);
  }
  void bind(int position, std::int64_t value);
  void bind(int position, std::string_view value);
  void bind(int position, Blob value);
  Sql<bool> step();
  Sql<std::int64_t> finish();
  void reset();

  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
  int bind_failure_ = 0;
};

class Database {
 public:
  enum class Access { read_write, read_only };
  /// vfs: name of a registered SQLite VFS; empty: the system's.
  static Sql<Database> open(const std::string& path, Access access, const std::string& vfs = {});

  /// Runs statements that answer nothing.
  Sql<void> execute(const std::string& sql);
  Sql<Statement> prepare(std::string_view sql);
  Sql<void> prepare(std::initializer_list<std::pair<Statement*, std::string_view>> statements);
  /// The first column of the first row; 0 if there is none.
  Sql<std::int64_t> integer(std::string_view sql);

  struct LogState {
    int pages = 0;         ///< pages in the write-ahead log
    int checkpointed = 0;  ///< of these, already in the main file
  };
  enum class Checkpoint { passive, restart };
  /// Moves the log's pages into the main file; readers may leave some behind. But for passive, a
  /// moment without readers is waited for, 200 ms at most.
  Sql<LogState> checkpoint(Checkpoint mode);
  /// Pages in the write-ahead log after the last commit here.
  [[nodiscard]] int log_pages() const { return *log_pages_; }
  /// Gives back the page cache.
  void release_memory();

 private:
  friend class Transaction;
  struct Close {
    void operator()(sqlite3* handle) const noexcept;
  };
  explicit Database(sqlite3* handle);
  [[nodiscard]] SqlError error() const;

  std::unique_ptr<int> log_pages_;  // SQLite's hook holds its address
  std::unique_ptr<sqlite3, Close> handle_;
};

/// Rolled back unless committed. The database outlives it.
class Transaction {
 public:
  enum class Access { write, read };
  static Sql<std::unique_ptr<Transaction>> begin(Database& database, Access access);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  /// After it, everything done in the transaction is on disk.
  Sql<void> commit();

 private:
  explicit Transaction(Database& database) : database_(database) {}
  Database& database_;
};

}  // namespace relay::spool
