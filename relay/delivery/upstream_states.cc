#include "relay/delivery/upstream_states.h"

#include <utility>

namespace relay::delivery {
namespace {

constexpr std::chrono::minutes kTestEvery{5};

}  // namespace

bool UpstreamStates::may_try(const std::string& key, net::WallTime now) {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(key);
  if (found == held_.end()) {
    return true;
  }
  if (now < found->second.next_test) {
    return false;
  }
  found->second.next_test = now + kTestEvery;
  return true;
}

UpstreamStates::Change UpstreamStates::refused(const std::string& key, const std::string& reply,
                                               net::WallTime now) {
  ++refusals_;
  const std::lock_guard lock(mutex_);
  const auto [found, added] = held_.try_emplace(key, State{{key, reply, now}, now + kTestEvery});
  found->second.held.reply = reply;
  return added ? Change::held : Change::none;
}

UpstreamStates::Change UpstreamStates::accepted(const std::string& key) {
  const std::lock_guard lock(mutex_);
  return held_.erase(key) > 0 ? Change::released : Change::none;
}

std::optional<UpstreamStates::Held> UpstreamStates::held(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(key);
  return found == held_.end() ? std::nullopt : std::optional(found->second.held);
}

std::vector<std::string> UpstreamStates::release_all() {
  std::map<std::string, State> held;
  {
    const std::lock_guard lock(mutex_);
    held = std::exchange(held_, {});
  }
  std::vector<std::string> keys;
  keys.reserve(held.size());
  for (const auto& [key, state] : held) {
    keys.push_back(key);
  }
  return keys;
}

bool UpstreamStates::dead(const std::string& key, net::WallTime now) {
  const auto found = dead_until_.find(key);
  if (found == dead_until_.end()) {
    return false;
  }
  if (found->second <= now) {
    dead_until_.erase(found);
    return false;
  }
  return true;
}

std::vector<UpstreamStates::Held> UpstreamStates::all_held() const {
  const std::lock_guard lock(mutex_);
  std::vector<Held> all;
  all.reserve(held_.size());
  for (const auto& [key, state] : held_) {
    all.push_back(state.held);
  }
  return all;
}

}  // namespace relay::delivery
