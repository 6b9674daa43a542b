// Who may authenticate: names and password hashes, as a file's lines "NAME:HASH". Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "relay/net/expected.h"

namespace relay::reception {

class Users {
 public:
  struct Fault {
    std::size_t line;    ///< from 1
    std::string reason;  ///< never holds a hash
  };

  /// Blank lines and those that begin with "#" are skipped. All faults are told.
  [[nodiscard]] static Expected<Users, std::vector<Fault>> parse(std::string_view text);

  /// The hash of a user's password. Of an unknown user: one that no password has, of the kind that
  /// the others have, so that refusing takes as long.
  [[nodiscard]] const std::string& hash_of(const std::string& name) const;
  [[nodiscard]] std::size_t size() const { return hashes_.size(); }

 private:
  std::unordered_map<std::string, std::string> hashes_;
  std::string nobody_;
};

}  // namespace relay::reception
