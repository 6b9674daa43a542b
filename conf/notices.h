// What senders and programs are told of their mail: status notices (RFC 3461, RFC 3464) and events.
#pragma once

#include <cstdint>
#include <string>

namespace conf {

/// Delivery status notices; queue.warn_after says when a delay is told.
struct Notices {
  std::uint64_t return_size = 64ULL << 10;  ///< of larger messages only the header is returned
  bool delayed_for_bulk = false;            ///< tell of delays of list and bulk mail, too
  std::string postmaster;  ///< gets the bounces that cannot be returned; "": they are dropped
  int per_hour = 1000;     ///< to one address; the rest is dropped
  friend bool operator==(const Notices&, const Notices&) = default;
};

/// A stream of JSON lines about messages.
struct Events {
  std::string to;          ///< the path of a UNIX stream socket, or https://
  std::string token_file;  ///< holds the bearer token (RFC 6750) for https
  int queue = 10'000;      ///< events that wait in memory; the oldest are lost

  [[nodiscard]] bool by_web() const { return !to.starts_with('/'); }
  friend bool operator==(const Events&, const Events&) = default;
};

}  // namespace conf
