// An SQLite VFS over the system's that writes down every write and sync, and fails on demand.
// Threading: SQLite's threads call it; the test's thread reads the record and sets the faults.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <sqlite3.h>

namespace relay::spool::testing {

struct FileOperation {
  enum class Kind { write, truncate, sync, remove };
  Kind kind;
  std::string file;  ///< name without its directory
  std::size_t offset = 0;
  std::string octets;
};

class TestVfs {
 public:
  explicit TestVfs(std::string name);
  ~TestVfs();
  TestVfs(const TestVfs&) = delete;
  TestVfs& operator=(const TestVfs&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Operations so far.
  [[nodiscard]] std::size_t position() const;
  [[nodiscard]] std::vector<FileOperation> operations() const;

  /// Whether every sync fails with EIO.
  void set_sync_fails(bool fails) { sync_fails_ = fails; }
  /// Octets by which the files may still grow together; then SQLITE_FULL. Negative: nothing can be
  /// written at all, as on a full file system that copies on write.
  void set_room(std::int64_t octets) { room_ = octets; }
  /// Called instead of sleeping, with what SQLite wants to wait for a lock. Set it before the
  /// database is opened.
  void set_sleep(std::function<void(std::chrono::microseconds)> sleep) {
    sleep_ = std::move(sleep);
  }
  /// Called before each write to the main file, which only checkpoints make; false: it fails with
  /// EIO.
  void set_main_write(std::function<bool()> may_write);

  // For the VFS's own functions.
  void record(FileOperation operation);
  [[nodiscard]] bool sync_fails() const { return sync_fails_; }
  [[nodiscard]] bool may_write_main() const;
  [[nodiscard]] bool take_room(std::int64_t octets);
  /// Answer: whether set_sleep() took it.
  [[nodiscard]] bool sleep(std::chrono::microseconds time) const;
  [[nodiscard]] sqlite3_vfs* real() const { return real_; }

 private:
  std::string name_;
  sqlite3_vfs* real_;
  sqlite3_vfs vfs_{};
  mutable std::mutex mutex_;
  std::vector<FileOperation> operations_;
  std::atomic<bool> sync_fails_ = false;
  std::function<bool()> may_write_;
  std::function<void(std::chrono::microseconds)> sleep_;
  std::atomic<std::int64_t> room_ = std::int64_t{1} << 40;
};

/// The files as a disk may hold them after a power cut: what was synced is there; of what was not,
/// any part may be.
class Disk {
 public:
  void apply(const FileOperation& operation);
  [[nodiscard]] std::map<std::string, std::string> after_cut(std::mt19937& random) const;

 private:
  struct File {
    std::string synced;
    std::vector<FileOperation> pending;
  };
  std::map<std::string, File> files_;
};

}  // namespace relay::spool::testing
