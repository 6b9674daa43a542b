// Idle outbound conversations, kept for a short while for the next message to the same target with
// the same requirement. Belongs to one event loop.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>

#include "relay/delivery/conversation.h"

namespace relay::delivery {

struct PoolLimits {
  std::chrono::milliseconds idle{5000};
  std::chrono::milliseconds age{300'000};
  int messages = 100;
};

class ConnectionPool {
 public:
  ConnectionPool(const net::Clock& clock, PoolLimits limits) : clock_(clock), limits_(limits) {}
  ~ConnectionPool() { close_all(); }
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  /// An idle conversation with this key; null: none.
  [[nodiscard]] std::unique_ptr<Conversation> take(const std::string& key);
  /// Keeps the conversation if it is usable, young and little used enough; ends it otherwise.
  void put(std::unique_ptr<Conversation> conversation);
  void close_all();
  void set_limits(PoolLimits limits) { limits_ = limits; }
  [[nodiscard]] std::size_t size() const { return idle_.size(); }

 private:
  void remove(const Conversation* conversation);

  const net::Clock& clock_;
  PoolLimits limits_;
  std::unordered_multimap<std::string, std::unique_ptr<Conversation>> idle_;
};

}  // namespace relay::delivery
