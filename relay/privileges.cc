#include "relay/privileges.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace relay {
namespace {

std::string system_error(std::string_view what) {
  return fmt::format("{}: {}", what, std::strerror(errno));
}

}  // namespace

Expected<Account, std::string> find_account(const std::string& user) {
  const std::size_t colon = user.find(':');
  const std::string name = user.substr(0, colon);
  const passwd* entry = ::getpwnam(name.c_str());
  if (entry == nullptr) {
    return Unexpected<std::string>(fmt::format(
        "user: there is no account {0}; make it with: adduser --system --group {0}", name));
  }
  Account account{name, entry->pw_uid, entry->pw_gid};
  if (colon != std::string::npos) {
    const std::string group_name = user.substr(colon + 1);
    const group* found = ::getgrnam(group_name.c_str());
    if (found == nullptr) {
      return Unexpected<std::string>(fmt::format(
          "user: there is no group {0}; make it with: addgroup --system {0}", group_name));
    }
    account.gid = found->gr_gid;
  }
  return account;
}

Expected<void, std::string> prepare_directory(const std::string& directory,
                                              const Account& account) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(directory, error);
  if (error) {
    return Unexpected<std::string>(
        fmt::format("{}: cannot be made: {}", directory, error.message()));
  }
  if (made && ::chmod(directory.c_str(), S_IRWXU) != 0) {
    return Unexpected<std::string>(system_error(directory));
  }
  // What an earlier run as root left behind must be ours too.
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (::lchown(entry.path().c_str(), account.uid, account.gid) != 0) {
      return Unexpected<std::string>(system_error(entry.path().string()));
    }
  }
  if (::lchown(directory.c_str(), account.uid, account.gid) != 0) {
    return Unexpected<std::string>(system_error(directory));
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

}  // namespace relay
