// What DNS and HTTPS answered, in the words of sts::Discovery. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "relay/delivery/destination.h"
#include "relay/net/dns_message.h"
#include "relay/net/expected.h"
#include "relay/net/https_client.h"
#include "relay/net/socket_address.h"
#include "sts/discovery.h"

namespace relay::delivery {

[[nodiscard]] sts::FirstContact first_contact(const conf::Sts& settings);
[[nodiscard]] sts::OnDnsFailure on_dns_failure(const conf::Sts& settings);

[[nodiscard]] sts::RecordResult record_result(net::DnsResult answer);
[[nodiscard]] sts::FetchResult fetch_result(
    Expected<net::HttpsResponse, net::HttpsFailure> response);

/// Where the policy may be fetched from: every usable address of both families. The error is a
/// reason code: "dns-failure", "no-address", "address-refused" (only addresses that are not
/// public).
[[nodiscard]] Expected<std::vector<net::SocketAddress>, std::string> policy_host_addresses(
    const net::DnsResult& a, const net::DnsResult& aaaa, std::uint16_t port,
    PrivateAddresses private_addresses);

/// "empty-line@3 trailing-dot@5", at most a handful.
[[nodiscard]] std::string diagnostics_text(const std::vector<sts::Diagnostic>& diagnostics);

/// Whether a domain asks for less than before.
[[nodiscard]] bool weakens(sts::Mode before, sts::Mode after);
/// The mx patterns of a policy that no pattern of the one it replaces covers.
[[nodiscard]] std::vector<std::string> widening(const sts::Policy& before,
                                                const sts::Policy& after);
/// In what respects a policy asks for less than the one it replaces: "mode", "mx" (more hosts are
/// admitted), "max_age" (protection that ends sooner), "mx max_age"; empty: in none.
[[nodiscard]] std::string weakening(const sts::Policy& before, const sts::Policy& after);
/// "fetch-error", "policy-invalid", "webpki-invalid"
[[nodiscard]] std::string_view name(sts::DiscoveryFault::Kind kind);

}  // namespace relay::delivery
