// Giving up root once the low ports are bound.
#pragma once

#include <string>
#include <vector>

#include "conf/config.h"
#include "relay/net/expected.h"

namespace relay {

/// The account to become: "name" or "name:group".
struct Account {
  std::string name;
  unsigned uid = 0;
  unsigned gid = 0;
};

/// The error says which user or group is missing and how to make it.
[[nodiscard]] Expected<Account, std::string> find_account(const std::string& user);
/// Makes directory (0700) for the account if it is missing, and gives it to the account with the
/// files that are called one of names ("name/": a folder). A directory that holds anything else is
/// left as it is and refused: it is not the account's alone. So is a name that is a link, or linked
/// to elsewhere.
[[nodiscard]] Expected<void, std::string> prepare_directory(const std::string& directory,
                                                            const std::vector<std::string>& names,
                                                            const Account& account);
/// Becomes the account for good; fails if root could be regained.
[[nodiscard]] Expected<void, std::string> become(const Account& account);
/// All of these: root becomes config.user, which gets the queue's directory.
[[nodiscard]] Expected<void, std::string> become_user(const conf::Config& config);

}  // namespace relay
