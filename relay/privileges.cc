#include "relay/privileges.h"

#include <array>
#include <cerrno>
#include <filesystem>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

namespace relay {
namespace {

constexpr std::size_t kEntry = 16384;  // room for one account's or group's texts

std::string system_error(std::string_view what) {
  return fmt::format("{}: {}", what, std::generic_category().message(errno));
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
