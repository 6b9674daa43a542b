#include "relay/spool/directory.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace relay::spool {

namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;
// Room for a full log and for moving it into the main file.
constexpr off_t kReserve = 32 << 20;
constexpr std::uint64_t kAmpleRoom = 8 * std::uint64_t{kReserve};
constexpr auto kFreeKnownFor = std::chrono::seconds(1);

std::string system_words(int error) {
  return ::strerrordesc_np(error);
}

Unexpected<std::string> failure(std::string_view action, const std::string& path, int error) {
  return Unexpected<std::string>(
      fmt::format("cannot {} {}: {}", action, path, system_words(error)));
}

/// Where a file system keeps mail from surviving, in words; empty: nothing known against it.
std::string_view file_system_danger(decltype(std::declval<struct statfs>().f_type) type) {
  constexpr decltype(type) kNfs = NFS_SUPER_MAGIC;
  constexpr decltype(type) kCifs = 0xff534d42;
  constexpr decltype(type) kSmb2 = 0xfe534d42;
  switch (type) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
      return "is in memory (tmpfs): accepted mail is lost at a restart of the machine";
    case OVERLAYFS_SUPER_MAGIC:
      return "is on overlayfs: accepted mail is lost with the container; mount a volume there";
    case kNfs:
    case kCifs:
    case kSmb2:
      return "is on a network file system, where locks and fsync cannot be relied on; use a local "
             "disk";
    default:
      return {};
  }
}

struct CloseMounts {
  void operator()(std::FILE* mounts) const noexcept { ::endmntent(mounts); }
};

/// Options of the mount that holds a device's files.
std::string mount_options(dev_t device) {
  const std::unique_ptr<std::FILE, CloseMounts> mounts(::setmntent("/proc/self/mounts", "re"));
  std::string options;
  mntent entry{};
  std::array<char, 4096> buffer{};
  while (mounts && ::getmntent_r(mounts.get(), &entry, buffer.data(), buffer.size()) != nullptr) {
    struct stat there {};
    if (::stat(entry.mnt_dir, &there) == 0 && there.st_dev == device) {
      options = entry.mnt_opts;
    }
  }
  return "," + options + ",";
}

}  // namespace

class Directory::File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string database_path(const std::string& directory) {
  return directory + "/spool.db";
}

Directory::Directory(std::string path, const net::Clock& clock)
    : path_(std::move(path)), clock_(clock) {}
Directory::~Directory() = default;

std::string Directory::database_path() const {
  return spool::database_path(path_);
}

Expected<std::unique_ptr<Directory>, std::string> Directory::open(const std::string& path,
                                                                  const net::Clock& clock) {
  if (::mkdir(path.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
    return failure("create the spool directory", path, errno);
  }
  struct statvfs file_system {};
  if (::statvfs(path.c_str(), &file_system) != 0) {
    return failure("use the spool directory", path, errno);
  }
  if ((file_system.f_flag & ST_RDONLY) != 0) {
    return Unexpected<std::string>(
        fmt::format("the spool directory {} is on a file system mounted read-only; remount it or "
                    "set queue.path to another directory",
                    path));
  }
  std::unique_ptr<Directory> directory(new Directory(path, clock));
  auto done = directory->take_lock();
  if (done) {
    done = directory->make_database_file();
  }
  if (!done) {
    return Unexpected<std::string>(std::move(done.error()));
  }
  return directory;
}

Expected<void, std::string> Directory::take_lock() {
  const auto path = path_ + "/lock";
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg,hicpp-vararg): the system's own signature.
  lock_ = std::make_unique<File>(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (lock_->get() < 0) {
    return failure("open the lock file", path, errno);
  }
  if (::flock(lock_->get(), LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> holder{};
    const auto length = ::pread(lock_->get(), holder.data(), holder.size(), 0);
    return Unexpected<std::string>(fmt::format(
        "another stsrelay (pid {}) uses the spool directory {}; stop it or set queue.path to "
        "another directory",
        length > 0 ? std::string_view(holder.data(), static_cast<std::size_t>(length)) : "unknown",
        path_));
  }
  const auto pid = std::to_string(::getpid());
  if (::ftruncate(lock_->get(), 0) != 0 ||
      ::pwrite(lock_->get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return failure("write the lock file", path, errno);
  }
  return {};
}

Expected<void, std::string> Directory::make_database_file() const {
  // Made here and not by SQLite, which would take its mode from the umask; the log follows it.
  const auto path = database_path();
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg,hicpp-vararg): the system's own signature.
  const File file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (file.get() < 0) {
    return failure("open the queue", path, errno);
  }
  return {};
}

Expected<void, std::string> Directory::sync() const {
  const auto parent = path_ + "/..";
  for (const auto& path : {path_, parent}) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg,hicpp-vararg): the system's own signature.
    const File directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // A parent that may be searched but not read was not made by us.
    if (directory.get() < 0 && errno == EACCES && path == parent) {
      continue;
    }
    if (directory.get() < 0 || ::fsync(directory.get()) != 0) {
      return failure("sync the directory", path, errno);
    }
  }
  return {};
}

std::vector<std::string> Directory::warnings() const {
  std::vector<std::string> found;
  const auto warn = [&](std::string_view what) {
    found.push_back(fmt::format("the spool directory {} {}", path_, what));
  };
  struct statfs file_system {};
  if (::statfs(path_.c_str(), &file_system) == 0) {
    const auto danger = file_system_danger(file_system.f_type);
    if (!danger.empty()) {
      warn(danger);
    }
  }
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0) {
    if (status.st_uid != ::geteuid()) {
      warn(fmt::format("belongs to user {}, not to user {} that stsrelay runs as", status.st_uid,
                       ::geteuid()));
    }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
      warn(fmt::format("has mode {:04o}: others may read queued mail; chmod it to 0700",
                       status.st_mode & 07777));
    }
    const auto options = mount_options(status.st_dev);
    if (options.find(",nobarrier,") != std::string::npos ||
        options.find(",barrier=0,") != std::string::npos) {
      warn("is mounted without write barriers: a power cut can lose accepted mail");
    }
  }
  return found;
}

bool Directory::room_for(std::uint64_t octets) const {
  const auto now = clock_.steady().time_since_epoch().count();
  if (now >= free_known_until_.load(std::memory_order_acquire)) {
    struct statvfs file_system {};
    const bool known = ::statvfs(path_.c_str(), &file_system) == 0;
    free_octets_.store(known ? std::uint64_t{file_system.f_bavail} * file_system.f_frsize : 0,
                       std::memory_order_relaxed);
    free_known_until_.store(now + net::SteadyTime::duration(kFreeKnownFor).count(),
                            std::memory_order_release);
  }
  return free_octets_.load(std::memory_order_relaxed) >= octets;
}

void Directory::note_full() {
  ::unlink((path_ + "/reserve").c_str());
  reserve_held_ = false;
  free_octets_.store(0, std::memory_order_relaxed);
  free_known_until_.store((clock_.steady() + kFreeKnownFor).time_since_epoch().count(),
                          std::memory_order_release);
}

void Directory::hold_reserve() {
  struct statfs file_system {};
  // Not where it would take memory.
  if (reserve_held_ || !room_for(kAmpleRoom) || ::statfs(path_.c_str(), &file_system) != 0 ||
      file_system.f_type == TMPFS_MAGIC) {
    return;
  }
  const auto path = path_ + "/reserve";
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg,hicpp-vararg): the system's own signature.
  const File file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  reserve_held_ = file.get() >= 0 && ::posix_fallocate(file.get(), 0, kReserve) == 0;
  if (!reserve_held_) {
    ::unlink(path.c_str());
  }
}

}  // namespace relay::spool
