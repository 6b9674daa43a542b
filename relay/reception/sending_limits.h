// How much a client may send and how often it may be connected, by the listener's limits and those
// of the rules that fit it; and whom it is counted as. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "conf/listener.h"
#include "conf/units.h"
#include "relay/net/tls_server.h"
#include "relay/reception/access.h"

namespace relay::reception {

struct SendingLimits {
  std::size_t connections = 0;  ///< at once; 0: any number
  std::optional<conf::Rate> messages{}, recipients{};
  conf::ClientLimits::Over over = conf::ClientLimits::Over::hold;

  [[nodiscard]] bool has_rate() const { return messages || recipients; }
};

/// user: by AUTH; empty: nobody. Each limit is that of the closest who sets it: the first rule that
/// names the user, the first that holds the address, the listener.
[[nodiscard]] SendingLimits sending_limits(const conf::Listener& listener, const Client& client,
                                           std::string_view user);

/// What a client with too many connections is told.
[[nodiscard]] std::string too_many_connections(const SendingLimits& limits);

/// As whom a client without a user is counted: its address, or the /64 network of an IPv6 address,
/// of which one client has them all ("2001:db8::/64"); on a UNIX socket "uid:1000".
[[nodiscard]] std::string counted_name(const Client& client);
/// The same of one that may relay by its certificate: the first name in it, or its fingerprint.
[[nodiscard]] std::string counted_name(const net::ClientCertificate& certificate);

}  // namespace relay::reception
