// Where mail for a recipient domain goes: routes, MX order, null MX, implicit MX, loops to self
// (RFC 5321 §5.1, RFC 7505). Pure: DNS answers come in, hosts in the order to try come out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "conf/config.h"
#include "relay/net/dns_message.h"
#include "relay/net/domain_name.h"
#include "relay/net/socket_address.h"

namespace relay::delivery {

/// Look up the MX RRset of name. policy_domain is the same name (RFC 8461 §3.4).
struct MxLookup {
  net::DomainName name;
};
/// One host, no MX lookup.
struct FixedHost {
  net::DomainName name;
};
/// One address; no policy applies to it.
struct FixedAddress {
  net::SocketAddress address;
};

struct NextHop {
  std::variant<MxLookup, FixedHost, FixedAddress> target;
  std::uint16_t port = 25;
  /// A route names it: private addresses are then allowed.
  enum class Origin { recipient_domain, route } origin = Origin::recipient_domain;

  /// The name whose MTA-STS policy and _smtp._tls record count; nullopt for addresses.
  [[nodiscard]] std::optional<net::DomainName> policy_domain() const;
  /// Identifies the destination for connection limits: name or address with port.
  [[nodiscard]] std::string key() const;
};

/// The port in the owner name of TLSA records (RFC 7672 §2.2.3). smtp_port: where mail goes that no
/// route sends elsewhere; it stands for 25, also in a test world.
[[nodiscard]] std::uint16_t tlsa_port(const NextHop& next_hop, std::uint16_t smtp_port);

/// A permanent or temporary end before any host was tried.
struct Undeliverable {
  enum class Kind {
    permanent,
    temporary,
    null_mx,  ///< permanent: the domain says that it takes no mail (RFC 7505)
  } kind;
  std::string status;  ///< RFC 3463, "5.1.2"
  std::string reason;  ///< one sentence
};

/// recipient_domain: A-labels or an address literal in brackets. mx_port: for everything but routes
/// that name a port.
[[nodiscard]] std::variant<NextHop, Undeliverable> next_hop(const std::vector<conf::Route>& routes,
                                                            const std::string& recipient_domain,
                                                            std::uint16_t mx_port);

struct MxHost {
  net::DomainName name;
  std::uint16_t preference = 0;
  enum class Source { mx_record, implicit, route } source = Source::mx_record;
};

/// Orders n items at random by swapping; the tests pass a fixed one.
using Shuffle = std::function<void(std::span<MxHost>)>;

/// The hosts to try for an MX lookup of domain, by preference, equal ones shuffled. Our own name
/// and everything of equal or worse preference is dropped (RFC 5321 §5.1).
[[nodiscard]] std::variant<std::vector<MxHost>, Undeliverable> mx_hosts(
    const net::DnsResult& answer, const net::DomainName& domain, std::string_view own_name,
    std::size_t max_hosts, const Shuffle& shuffle);

/// What the addresses of one host come to.
struct HostAddresses {
  std::vector<net::SocketAddress> usable;  ///< families interleaved, IPv6 first
  enum class Problem {
    none,
    no_such_host,
    no_address,
    lookup_failed,
    refused
  } problem = Problem::none;
  std::string reason;  ///< one sentence when usable is empty
};

enum class PrivateAddresses { refused, allowed };
enum class UseIpv6 { no, yes };

[[nodiscard]] HostAddresses host_addresses(const net::DomainName& host, const net::DnsResult& a,
                                           const net::DnsResult& aaaa, std::uint16_t port,
                                           PrivateAddresses private_addresses, UseIpv6 ipv6);

}  // namespace relay::delivery
