// Giving up root once the low ports are bound.
#pragma once

#include <string>

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
/// Makes directory (0700) for the account if it is missing, and gives it to the account.
[[nodiscard]] Expected<void, std::string> prepare_directory(const std::string& directory,
                                                            const Account& account);
/// Becomes the account for good; fails if root could be regained.
[[nodiscard]] Expected<void, std::string> become(const Account& account);

}  // namespace relay
