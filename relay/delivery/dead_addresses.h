// What a worker remembers of addresses that could not be reached a moment ago, so that not every
// message waits for the same dead host. In memory only. Pure: the time is an argument.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "relay/delivery/outcome.h"
#include "relay/net/clock.h"
#include "relay/net/socket_address.h"

namespace relay::delivery {

class DeadAddresses {
 public:
  struct Mark {
    std::string why;  ///< "Connection refused"
    net::WallTime since{};
    net::WallTime until{};  ///< not tried before
  };
  /// At most so many are remembered: a network that is down makes no worker grow.
  static constexpr std::size_t kMost = 10'000;

  /// It could not be reached at mark.since. Nothing is remembered if the mark ends there, or if
  /// there is no room.
  void failed(const net::SocketAddress& address, Mark mark);
  void worked(const net::SocketAddress& address) { marks_.erase(address); }
  /// nullopt: it may be tried.
  [[nodiscard]] std::optional<Mark> find(const net::SocketAddress& address,
                                         net::WallTime now) const;
  void forget_all() { marks_.clear(); }
  [[nodiscard]] std::size_t size() const { return marks_.size(); }

 private:
  std::map<net::SocketAddress, Mark> marks_;
};

/// What a conversation shows about the address that it was had with.
struct Reachability {
  /// unknown: nothing new, or nothing that the address is to blame for.
  enum class Kind { unknown, reached, not_reached } kind = Kind::unknown;
  std::string why{};  ///< not_reached: for people
};
/// Not reached is who cannot be connected to or falls silent before it has answered EHLO; a word of
/// refusal costs little to ask for again, and a failure of TLS is for policies to judge.
[[nodiscard]] Reachability reachability(const ConversationReport& report);

}  // namespace relay::delivery
