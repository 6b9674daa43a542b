// The spool's directory: made, locked against a second daemon, looked at for what endangers mail.
// Threading: room_for() may be called from any thread; the rest belongs to one at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/clock.h"
#include "relay/net/expected.h"

namespace relay::spool {

class Directory {
 public:
  /// Creates the directory (0700) if it is missing and takes its lock. The error is a sentence
  /// that names the directory and the remedy.
  static Expected<std::unique_ptr<Directory>, std::string> open(const std::string& path,
                                                                const net::Clock& clock);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] std::string database_path() const;
  /// Makes the names of files created in it survive a power cut.
  [[nodiscard]] Expected<void, std::string> sync() const;
  /// Sentences for the log: a file system that forgets, a directory that others can read.
  [[nodiscard]] std::vector<std::string> warnings() const;
  /// Whether so many octets are free; the system is asked once a second at most.
  [[nodiscard]] bool room_for(std::uint64_t octets) const;
  /// The store ran into the end of the disk, whatever the file system says: no room for a second.
  /// Gives up the reserve, so that what is delivered can still be recorded.
  void note_full();
  /// Lays the reserve by (again) if there is ample room.
  void hold_reserve();

 private:
  class File;
  Directory(std::string path, const net::Clock& clock);
  Expected<void, std::string> take_lock();
  [[nodiscard]] Expected<void, std::string> make_database_file() const;

  std::string path_;
  const net::Clock& clock_;
  std::unique_ptr<File> lock_;
  bool reserve_held_ = false;
  mutable std::atomic<net::SteadyTime::rep> free_known_until_{0};
  mutable std::atomic<std::uint64_t> free_octets_{0};
};

/// The names of all files that a spool makes in its directory.
inline constexpr std::array<std::string_view, 6> kFileNames{
    "lock", "reserve", "spool.db", "spool.db-journal", "spool.db-shm", "spool.db-wal"};

/// The file that holds the queue of a spool directory.
[[nodiscard]] std::string database_path(const std::string& directory);

}  // namespace relay::spool
