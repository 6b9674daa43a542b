#include "relay/delivery/connection_pool.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace relay::delivery {

std::unique_ptr<Conversation> ConnectionPool::take(const std::string& key) {
  const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const auto& conversation) {
    return conversation->key() == key;
  });
  if (found == idle_.rend()) {
    return nullptr;
  }
  std::unique_ptr<Conversation> conversation = std::move(*found);
  idle_.erase(std::prev(found.base()));
  return conversation;
}

bool ConnectionPool::worth_keeping(const Conversation& conversation) const {
  return conversation.usable() && conversation.messages() < limits_.messages &&
         context_.clock.steady() - conversation.opened_at() < limits_.age &&
         conversation.target().generation == context_.generation;
}

void ConnectionPool::put(std::unique_ptr<Conversation> conversation) {
  if (!worth_keeping(*conversation)) {
    conversation->close();
    return;
  }
  const Conversation* const kept = conversation.get();
  const std::string destination = conversation->target().destination;
  conversation->park(limits_.idle, [this, kept] { remove(kept); });
  idle_.push_back(std::move(conversation));
  trim(destination, 0);
}

void ConnectionPool::make_room(const std::string& destination) {
  trim(destination, 1);
}

void ConnectionPool::trim(const std::string& destination, std::size_t room) {
  for (auto idle = idle_.begin();
       idle != idle_.end() && context_.count.of(destination) + room > limits_.per_destination;) {
    const auto candidate = idle++;
    if ((*candidate)->target().destination == destination) {
      end(candidate);
    }
  }
  while (!idle_.empty() && context_.count.total() + room > limits_.connections) {
    end(idle_.begin());
  }
}

void ConnectionPool::end(Idle::iterator idle) {
  (*idle)->close();
  idle_.erase(idle);
}

void ConnectionPool::close_all() {
  for (auto& conversation : idle_) {
    conversation->close();
  }
  idle_.clear();
}

void ConnectionPool::remove(const Conversation* conversation) {
  idle_.remove_if([&](const auto& idle) { return idle.get() == conversation; });
}

}  // namespace relay::delivery
