// The configuration cut into what each part takes, with what the system says filled in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "conf/config.h"
#include "conf/preload.h"
#include "relay/delivery/worker.h"
#include "relay/delivery_files.h"
#include "relay/net/clock.h"
#include "relay/net/dns_client.h"
#include "relay/net/expected.h"
#include "relay/net/revocation.h"
#include "relay/net/socket_address.h"
#include "relay/reporting/report_settings.h"

namespace relay {

/// The system's fully qualified name, or what there is of it.
[[nodiscard]] std::string system_hostname();

/// Reads and parses a configuration file and fills in the host name. The errors are ready to print:
/// "FILE:LINE: key: reason".
[[nodiscard]] Expected<conf::Config, std::vector<std::string>> load_config(const std::string& path);

/// What the file, being free of errors, says in vain: "FILE:LINE: key: reason (warning)".
[[nodiscard]] std::vector<std::string> config_warnings(const std::string& path, net::WallTime now);

/// Reads the file that tls_policy.preload names; empty if it names none. The errors are as above.
[[nodiscard]] Expected<conf::Preload, std::vector<std::string>> load_preload(
    const conf::Config& config);

[[nodiscard]] std::size_t worker_count(const conf::Config& config);

/// own_addresses: where this relay listens.
[[nodiscard]] net::Revocation revocation(const conf::Config& config);

[[nodiscard]] std::shared_ptr<const delivery::WorkerSettings> worker_settings(
    const conf::Config& config, std::vector<net::SocketAddress> own_addresses,
    std::shared_ptr<const delivery::LocalRules> rules, DeliveryFiles files);

/// The key in a file of reports.dkim or dkim. The error is a sentence about the file.
[[nodiscard]] Expected<message::DkimKey, std::string> load_dkim_key(const std::string& path);

/// With the keys that sign report mail. The error is a sentence about a key that cannot be had.
[[nodiscard]] Expected<std::shared_ptr<const reporting::ReportSettings>, std::string>
report_settings(const conf::Config& config);

/// Resolvers of the test world, the configuration or the system, in this order, and those whose AD
/// bit counts: the configured ones, else loopback but 127.0.0.11, which is a forwarding stub of
/// container engines. The error is a sentence about the trust anchor that cannot be had.
[[nodiscard]] Expected<net::DnsClientOptions, std::string> dns_options(const conf::Config& config);

/// The addresses that reach these listeners; wildcards stand for every interface address.
[[nodiscard]] std::vector<net::SocketAddress> reachable_at(
    const std::vector<net::SocketAddress>& listeners);

}  // namespace relay
