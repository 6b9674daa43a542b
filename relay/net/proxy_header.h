// The header that a proxy puts before a client's connection (HAProxy's PROXY protocol, versions 1
// and 2), read strictly. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "relay/net/expected.h"
#include "relay/net/socket_address.h"

namespace relay::net {

struct ProxyHeader {
  /// Both absent: the proxy speaks for itself (LOCAL), or does not know for whom (UNKNOWN).
  std::optional<SocketAddress> client, server;
  std::size_t length = 0;  ///< octets of the header; the client's own follow
};

/// What octets, the first ones of a connection, begin with; nullopt: all of them belong to a header
/// that goes on. The error says what is wrong.
[[nodiscard]] Expected<std::optional<ProxyHeader>, std::string> parse_proxy_header(
    std::string_view octets);

}  // namespace relay::net
