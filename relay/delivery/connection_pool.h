// Idle outbound conversations, kept for a short while for the next message to the same target with
// the same requirement. Belongs to one event loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>

#include "relay/delivery/conversation.h"

namespace relay::delivery {

struct PoolLimits {
  std::chrono::milliseconds idle{5000};
  std::chrono::milliseconds age{300'000};
  int messages = 100;
  std::size_t connections = 250;     ///< of this worker, those in use included
  std::size_t per_destination = 20;  ///< of these to one destination
};

class ConnectionPool {
 public:
  ConnectionPool(const ConversationContext& context, PoolLimits limits)
      : context_(context), limits_(limits) {}
  ~ConnectionPool() { close_all(); }
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  /// An idle conversation with this key; null: none.
  [[nodiscard]] std::unique_ptr<Conversation> take(const std::string& key);
  /// Keeps the conversation if it is usable, young and little used enough, and of the present
  /// generation; ends it otherwise. Over a limit, those that were idle longest are ended.
  void put(std::unique_ptr<Conversation> conversation);
  /// Before a new conversation: ends idle ones, the longest idle first, until the limits have room
  /// for it. Those in use are not its concern.
  void make_room(const std::string& destination);
  void close_all();
  void set_limits(PoolLimits limits) { limits_ = limits; }
  [[nodiscard]] std::size_t size() const { return idle_.size(); }

 private:
  using Idle = std::list<std::unique_ptr<Conversation>>;

  [[nodiscard]] bool worth_keeping(const Conversation& conversation) const;
  void trim(const std::string& destination, std::size_t room);
  void end(Idle::iterator idle);
  void remove(const Conversation* conversation);

  const ConversationContext& context_;
  PoolLimits limits_;
  Idle idle_;  ///< longest idle first
};

}  // namespace relay::delivery
