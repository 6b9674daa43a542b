// Where mail for a recipient domain goes: routes, MX order, null MX, implicit MX, loops to self
// (RFC 5321 §5.1, RFC 7505). Pure: DNS answers come in, hosts in the order to try come out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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
  /// The entry of a route's upstreams; null: it is none.
  std::shared_ptr<const conf::Upstream> upstream{};
  /// The route's own name in EHLO and source addresses; empty: those of all deliveries.
  std::string helo{}, source_ipv4{}, source_ipv6{};

  /// The name whose MTA-STS policy and _smtp._tls record count; nullopt for addresses.
  [[nodiscard]] std::optional<net::DomainName> policy_domain() const;
  /// Identifies the destination for connection limits: name or address with port, and the account
  /// there.
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

/// What a message's way depends on.
struct MailPath {
  std::string domain;      ///< of its recipients: A-labels or an address literal in brackets
  std::string sender{};    ///< reverse-path; empty: a bounce, which no route by sender takes
  std::string listener{};  ///< where it came in; empty: no route by listener takes it
};

/// The next hops to try, in the order that the route gives; at least one. mx_port: for everything
/// but routes that name a port.
[[nodiscard]] std::variant<std::vector<NextHop>, Undeliverable> next_hops(
    const std::vector<conf::Route>& routes, const MailPath& path, std::uint16_t mx_port);
/// Whether the route's first next hop has this key.
[[nodiscard]] bool leads_to(const conf::Route& route, const std::string& key,
                            std::uint16_t mx_port);
/// The first of them.
[[nodiscard]] std::variant<NextHop, Undeliverable> next_hop(const std::vector<conf::Route>& routes,
                                                            const MailPath& path,
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
  std::vector<net::SocketAddress> usable;  ///< families interleaved
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
/// Which of a host's addresses are used, and which family comes first.
enum class Families { ipv6_first, ipv4_first, only_ipv4 };

/// The rule for mail to this recipient domain: the exact one before wildcards, the closest of these
/// first; null: none.
[[nodiscard]] const conf::DestinationRule* rule_of(const conf::Delivery& delivery,
                                                   const std::string& domain);
/// Whether IPv6 addresses count for mail to this recipient domain.
[[nodiscard]] bool uses_ipv6(const conf::Delivery& delivery, const std::string& domain);

[[nodiscard]] HostAddresses host_addresses(const net::DomainName& host, const net::DnsResult& a,
                                           const net::DnsResult& aaaa, std::uint16_t port,
                                           PrivateAddresses private_addresses, Families families);

}  // namespace relay::delivery
