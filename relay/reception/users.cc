#include "relay/reception/users.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "relay/reception/password.h"

namespace relay::reception {
namespace {

constexpr std::size_t kMaxName = 255;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && std::ranges::none_of(name, [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
  });
}

std::string_view without_blanks(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  const auto begin = line.find_first_not_of(kBlanks);
  return begin == std::string_view::npos
             ? std::string_view()
             : line.substr(begin, line.find_last_not_of(kBlanks) + 1 - begin);
}

}  // namespace

Expected<Users, std::vector<Users::Fault>> Users::parse(std::string_view text) {
  Users users;
  std::vector<Fault> faults;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = without_blanks(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('#')) {
      continue;
    }
    const auto colon = line.find(':');
    const std::string name(line.substr(0, colon));
    if (colon == std::string_view::npos || !is_name(name)) {
      faults.push_back(
          {number, "is no \"NAME:HASH\"; make one with: stsrelay hash-password --user NAME"});
      continue;
    }
    const std::string hash(line.substr(colon + 1));
    if (!is_password_hash(hash)) {
      faults.push_back(
          {number, fmt::format("{}: is followed by no yescrypt, bcrypt or sha512-crypt "
                               "hash; make one with: stsrelay hash-password",
                               name)});
    } else if (!users.hashes_.emplace(name, hash).second) {
      faults.push_back({number, fmt::format("{}: is given twice; remove one", name)});
    } else if (users.nobody_.empty()) {
      users.nobody_ = hash_without_password(hash);
    }
  }
  if (!faults.empty()) {
    return Unexpected<std::vector<Fault>>(std::move(faults));
  }
  return users;
}

const std::string& Users::hash_of(const std::string& name) const {
  const auto found = hashes_.find(name);
  return found == hashes_.end() ? nobody_ : found->second;
}

}  // namespace relay::reception
