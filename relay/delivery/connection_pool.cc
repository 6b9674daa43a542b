#include "relay/delivery/connection_pool.h"

#include <algorithm>

namespace relay::delivery {

std::unique_ptr<Conversation> ConnectionPool::take(const std::string& key) {
  const auto found = idle_.find(key);
  if (found == idle_.end()) {
    return nullptr;
  }
  std::unique_ptr<Conversation> conversation = std::move(found->second);
  idle_.erase(found);
  return conversation;
}

void ConnectionPool::put(std::unique_ptr<Conversation> conversation) {
  if (!conversation->usable() || conversation->messages() >= limits_.messages ||
      clock_.steady() - conversation->opened_at() >= limits_.age) {
    conversation->close();
    return;
  }
  const Conversation* const kept = conversation.get();
  conversation->park(limits_.idle, [this, kept] { remove(kept); });
  idle_.emplace(conversation->key(), std::move(conversation));
}

void ConnectionPool::close_all() {
  for (auto& [key, conversation] : idle_) {
    conversation->close();
  }
  idle_.clear();
}

void ConnectionPool::remove(const Conversation* conversation) {
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const auto& entry) {
    return entry.second.get() == conversation;
  });
  if (found != idle_.end()) {
    idle_.erase(found);
  }
}

}  // namespace relay::delivery
