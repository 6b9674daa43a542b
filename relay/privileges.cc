#include "relay/privileges.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <grp.h>
#include <memory>
#include <pwd.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "relay/spool/directory.h"

namespace relay {
namespace {

constexpr std::size_t kEntry = 16384;  // room for one account's or group's texts

std::string system_error(std::string_view what) {
  return fmt::format("{}: {}", what, std::generic_category().message(errno));
}

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

using Descriptors = std::vector<std::unique_ptr<Descriptor>>;

/// Why an entry of the spool's directory cannot be given away; empty: it can.
std::string_view fault_of(const Descriptor& entry) {
  struct stat status {};
  if (::fstat(entry.get(), &status) != 0 ||
      (!S_ISREG(status.st_mode) && !S_ISSOCK(status.st_mode))) {
    return "is no plain file";
  }
  return status.st_nlink == 1 ? "" : "has another name, too";
}

/// The same for a folder of the queue's own.
std::string_view fault_of_folder(const Descriptor& entry) {
  struct stat status {};
  const bool folder = ::fstat(entry.get(), &status) == 0 && S_ISDIR(status.st_mode);
  return folder ? "" : "is no folder";
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// All entries of a directory, opened so that they can be given away but neither followed nor read.
Expected<Descriptors, std::string> own_files(const std::string& directory, const Descriptor& folder,
                                             const std::vector<std::string>& names) {
  Descriptors files;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    // Where file systems keep what a check of them has found: in the root of a volume.
    if (name == "lost+found") {
      continue;
    }
    const bool own_folder = contains(names, name + "/");
    const bool own = own_folder || contains(names, name);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg,hicpp-vararg): the system's own signature.
    auto file = std::make_unique<Descriptor>(
        own ? ::openat(folder.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1);
    const std::string_view fault = own_folder ? fault_of_folder(*file)
                                   : own      ? fault_of(*file)
                                              : "is none of the queue's files";
    if (!fault.empty()) {
      return Unexpected<std::string>(fmt::format(
          "{} cannot be given to the account that keeps the queue there: {} {}; set queue.path to "
          "a folder of its own, or move that away",
          directory, name, fault));
    }
    files.push_back(std::move(file));
  }
  if (error) {
    return Unexpected<std::string>(
        fmt::format("{}: cannot be read: {}", directory, error.message()));
  }
  return files;
}

}  // namespace

Expected<Account, std::string> find_account(const std::string& user) {
  const std::size_t colon = user.find(':');
  const std::string name = user.substr(0, colon);
  std::array<char, kEntry> text{};
  passwd entry{};
  passwd* user_found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, text.data(), text.size(), &user_found) != 0 ||
      user_found == nullptr) {
    return Unexpected<std::string>(fmt::format(
        "user: there is no account {0}; make it with: adduser --system --group {0}", name));
  }
  Account account{name, entry.pw_uid, entry.pw_gid};
  if (colon != std::string::npos) {
    const std::string group_name = user.substr(colon + 1);
    group members{};
    group* found = nullptr;
    if (::getgrnam_r(group_name.c_str(), &members, text.data(), text.size(), &found) != 0 ||
        found == nullptr) {
      return Unexpected<std::string>(fmt::format(
          "user: there is no group {0}; make it with: addgroup --system {0}", group_name));
    }
    account.gid = members.gr_gid;
  }
  return account;
}

Expected<void, std::string> prepare_directory(const std::string& directory,
                                              const std::vector<std::string>& names,
                                              const Account& account) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(directory, error);
  if (error) {
    return Unexpected<std::string>(
        fmt::format("{}: cannot be made: {}", directory, error.message()));
  }
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg,hicpp-vararg): the system's own signature.
  const Descriptor folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || (made && ::fchmod(folder.get(), S_IRWXU) != 0)) {
    return Unexpected<std::string>(system_error(directory));
  }
  // What an earlier run as root left behind must be the account's, too.
  auto files = own_files(directory, folder, names);
  if (!files) {
    return Unexpected<std::string>(std::move(files.error()));
  }
  files->push_back(std::make_unique<Descriptor>(::dup(folder.get())));
  for (const auto& file : *files) {
    if (::fchownat(file->get(), "", account.uid, account.gid, AT_EMPTY_PATH) != 0) {
      return Unexpected<std::string>(system_error(directory));
    }
  }
  return {};
}

Expected<void, std::string> become(const Account& account) {
  if (::initgroups(account.name.c_str(), account.gid) != 0 || ::setgid(account.gid) != 0 ||
      ::setuid(account.uid) != 0) {
    return Unexpected<std::string>(system_error(fmt::format("cannot become {}", account.name)));
  }
  if (account.uid != 0 && ::setuid(0) == 0) {
    return Unexpected<std::string>(
        fmt::format("root could be regained after becoming {}", account.name));
  }
  return {};
}

Expected<void, std::string> become_user(const conf::Config& config) {
  const auto account = find_account(config.user);
  if (!account) {
    return Unexpected<std::string>(account.error());
  }
  std::vector<std::string> names(spool::kFileNames.begin(), spool::kFileNames.end());
  names.emplace_back("import/");
  const std::filesystem::path socket = config.control.socket;
  if (socket.parent_path() == std::filesystem::path(config.queue.path)) {
    names.push_back(socket.filename());
  }
  for (const conf::Listener& listener : config.listen) {
    const std::filesystem::path own = listener.address.path;
    if (own.parent_path() == std::filesystem::path(config.queue.path)) {
      names.push_back(own.filename());
    }
  }
  if (auto prepared = prepare_directory(config.queue.path, names, *account); !prepared) {
    return prepared;
  }
  return become(*account);
}

}  // namespace relay
