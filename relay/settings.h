// The configuration cut into what each part takes, with what the system says filled in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "conf/config.h"
#include "relay/delivery/worker.h"
#include "relay/net/dns_client.h"
#include "relay/net/expected.h"
#include "relay/net/socket_address.h"

namespace relay {

/// Reads and parses a configuration file and fills in the host name. The errors are ready to print:
/// "FILE:LINE: key: reason".
[[nodiscard]] Expected<conf::Config, std::vector<std::string>> load_config(const std::string& path);

[[nodiscard]] std::size_t worker_count(const conf::Config& config);

/// own_addresses: where this relay listens.
[[nodiscard]] std::shared_ptr<const delivery::WorkerSettings> worker_settings(
    const conf::Config& config, std::vector<net::SocketAddress> own_addresses);

/// Resolvers of the test world, the configuration or the system, in this order, and those whose AD
/// bit counts: the configured ones, else loopback but 127.0.0.11, which is a forwarding stub of
/// container engines.
[[nodiscard]] net::DnsClientOptions dns_options(const conf::Config& config);

/// The addresses that reach these listeners; wildcards stand for every interface address.
[[nodiscard]] std::vector<net::SocketAddress> reachable_at(
    const std::vector<net::SocketAddress>& listeners);

}  // namespace relay
