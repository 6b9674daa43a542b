// What an operator does to messages in the queue, and which destinations rest. Values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "relay/net/clock.h"
#include "relay/spool/message.h"

namespace relay::spool {

/// One change of one message; applied whole or not at all.
struct MessageChange {
  enum class Kind {
    hold,     ///< no attempt until it is released; the end of its life waits, too
    release,  ///< its life goes on where the hold stopped it
    retry,    ///< due at once; a held one stays held
    requeue,  ///< as if it had just arrived: released, attempts and life begin anew
    remove,   ///< without a notice to anyone
  };
  Kind kind = Kind::hold;
  MessageId id{0};
  net::WallTime at{};          ///< when it is done
  std::string reason{};        ///< hold: never empty
  net::WallTime next_try{};    ///< requeue
  net::WallTime expires_at{};  ///< requeue: the end of its new life
  /// remove: these recipients by index; empty: all.
  std::vector<std::uint32_t> recipients{};
};

/// A destination that rests: mail for it is taken and waits.
struct Pause {
  enum class Kind { everything, domain, next_hop } kind = Kind::everything;
  std::string name;  ///< a recipient domain, or a route's next hop; "" for everything
  std::string reason;
  net::WallTime since{};
  std::string by;  ///< who wanted it, "uid:0"
  friend bool operator==(const Pause&, const Pause&) = default;
};

}  // namespace relay::spool
