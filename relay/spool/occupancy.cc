#include "relay/spool/occupancy.h"

#include <algorithm>

namespace relay::spool {

std::string owner_of(std::string_view user, std::string_view sender) {
  // No user's name can be taken for an address: the first octet tells them apart.
  return user.empty() ? std::string(sender) : " " + std::string(user);
}

void Occupancy::add(const std::string& owner, std::uint64_t octets) {
  const std::lock_guard lock(mutex_);
  ++messages_;
  octets_ += octets;
  ++owners_[owner];
}

void Occupancy::remove(const std::string& owner, std::uint64_t octets) {
  const std::lock_guard lock(mutex_);
  messages_ -= std::min<std::uint64_t>(messages_, 1);
  octets_ -= std::min(octets_, octets);
  const auto found = owners_.find(owner);
  if (found != owners_.end() && --found->second == 0) {
    owners_.erase(found);
  }
}

Occupancy::Totals Occupancy::totals(const std::string& owner) const {
  const std::lock_guard lock(mutex_);
  const auto found = owners_.find(owner);
  return {messages_, octets_, found == owners_.end() ? 0 : found->second};
}

}  // namespace relay::spool
