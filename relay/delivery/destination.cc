#include "relay/delivery/destination.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace relay::delivery {
namespace {

bool route_matches(std::string_view pattern, std::string_view domain) {
  if (pattern == "*" || pattern == domain) {
    return true;
  }
  return pattern.starts_with("*.") && domain.size() > pattern.size() - 1 &&
         domain.ends_with(pattern.substr(1));
}

Undeliverable bad_route(const conf::Route& route, std::string_view name) {
  return Undeliverable{
      Undeliverable::Kind::temporary, "4.3.5",
      fmt::format("the route for {} names the unusable next hop {}", route.match, name)};
}

std::variant<NextHop, Undeliverable> routed(const conf::Route& route, std::uint16_t mx_port) {
  const std::uint16_t port = route.port == 25 ? mx_port : route.port;
  if (!route.mx.empty()) {
    auto name = net::DomainName::parse(route.mx);
    if (!name) {
      return bad_route(route, route.mx);
    }
    return NextHop{MxLookup{*name}, port, NextHop::Origin::route};
  }
  if (auto address = net::SocketAddress::from_ip(route.host, port)) {
    return NextHop{FixedAddress{*address}, port, NextHop::Origin::route};
  }
  auto name = net::DomainName::parse(route.host);
  if (!name) {
    return bad_route(route, route.host);
  }
  return NextHop{FixedHost{*name}, port, NextHop::Origin::route};
}

std::variant<std::vector<MxHost>, Undeliverable> from_records(
    const std::vector<net::DnsMx>& records, const net::DomainName& domain) {
  // RFC 7505 §3: a single record with the root as exchange says that the domain takes no mail.
  if (records.size() == 1 && records.front().exchange.empty()) {
    return Undeliverable{
        Undeliverable::Kind::null_mx, "5.1.10",
        fmt::format("{} accepts no mail: its MX record is the null MX (RFC 7505)", domain.text())};
  }
  std::vector<MxHost> hosts;
  for (const net::DnsMx& record : records) {
    // A root exchange beside others, IP text or a malformed name names no host.
    if (auto name = net::DomainName::parse(record.exchange)) {
      hosts.push_back(MxHost{*name, record.preference, MxHost::Source::mx_record});
    }
  }
  if (hosts.empty()) {
    return Undeliverable{Undeliverable::Kind::permanent, "5.4.4",
                         fmt::format("no MX record of {} names a host", domain.text())};
  }
  return hosts;
}

void order(std::vector<MxHost>& hosts, const Shuffle& shuffle) {
  std::stable_sort(hosts.begin(), hosts.end(),
                   [](const MxHost& a, const MxHost& b) { return a.preference < b.preference; });
  for (auto first = hosts.begin(); first != hosts.end();) {
    const auto last = std::find_if(first, hosts.end(), [&](const MxHost& host) {
      return host.preference != first->preference;
    });
    shuffle(std::span<MxHost>(&*first, static_cast<std::size_t>(std::distance(first, last))));
    first = last;
  }
}

std::vector<net::SocketAddress> addresses_of(const net::DnsResult& result, std::uint16_t port) {
  std::vector<net::SocketAddress> addresses;
  if (const auto* answer = std::get_if<net::DnsAnswer>(&result)) {
    if (const auto* texts = std::get_if<std::vector<std::string>>(&answer->records)) {
      for (const std::string& text : *texts) {
        if (auto address = net::SocketAddress::from_ip(text, port)) {
          addresses.push_back(*address);
        }
      }
    }
  }
  return addresses;
}

std::vector<net::SocketAddress> interleave(const std::vector<net::SocketAddress>& first,
                                           const std::vector<net::SocketAddress>& second) {
  std::vector<net::SocketAddress> merged;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) {
      merged.push_back(first[i]);
    }
    if (i < second.size()) {
      merged.push_back(second[i]);
    }
  }
  return merged;
}

const net::DnsFailure* failure(const net::DnsResult& result) {
  return std::get_if<net::DnsFailure>(&result);
}

bool name_missing(const net::DnsResult& result) {
  const auto* none = std::get_if<net::DnsNoRecord>(&result);
  return none != nullptr && !none->name_exists;
}

HostAddresses no_addresses(const net::DomainName& host, const net::DnsResult& a,
                           const net::DnsResult& aaaa) {
  const net::DnsFailure* failed = failure(a) != nullptr ? failure(a) : failure(aaaa);
  if (failed != nullptr) {
    return {{},
            HostAddresses::Problem::lookup_failed,
            fmt::format("address lookup of {} failed: {}", host.text(), failed->reason)};
  }
  if (name_missing(a) || name_missing(aaaa)) {
    return {{},
            HostAddresses::Problem::no_such_host,
            fmt::format("the host {} does not exist", host.text())};
  }
  return {{},
          HostAddresses::Problem::no_address,
          fmt::format("the host {} has no address", host.text())};
}

}  // namespace

std::optional<net::DomainName> NextHop::policy_domain() const {
  if (const auto* lookup = std::get_if<MxLookup>(&target)) {
    return lookup->name;
  }
  if (const auto* host = std::get_if<FixedHost>(&target)) {
    return host->name;
  }
  return std::nullopt;
}

std::uint16_t tlsa_port(const NextHop& next_hop, std::uint16_t smtp_port) {
  return next_hop.port == smtp_port ? 25 : next_hop.port;
}

std::string NextHop::key() const {
  if (const auto* address = std::get_if<FixedAddress>(&target)) {
    return address->address.literal();
  }
  const std::string_view kind = std::holds_alternative<FixedHost>(target) ? "host" : "mx";
  return fmt::format("{}:{}:{}", kind, policy_domain()->text(), port);
}

std::variant<NextHop, Undeliverable> next_hop(const std::vector<conf::Route>& routes,
                                              const std::string& recipient_domain,
                                              std::uint16_t mx_port) {
  for (const conf::Route& route : routes) {
    if (route_matches(route.match, recipient_domain)) {
      return routed(route, mx_port);
    }
  }
  auto name = net::DomainName::parse(recipient_domain);
  if (!name) {
    return Undeliverable{Undeliverable::Kind::permanent, "5.1.2",
                         fmt::format("{} is no domain that mail can be sent to: {}",
                                     recipient_domain, name.error().reason)};
  }
  return NextHop{MxLookup{*name}, mx_port, NextHop::Origin::recipient_domain};
}

std::variant<std::vector<MxHost>, Undeliverable> mx_hosts(const net::DnsResult& answer,
                                                          const net::DomainName& domain,
                                                          std::string_view own_name,
                                                          std::size_t max_hosts,
                                                          const Shuffle& shuffle) {
  if (const auto* failed = failure(answer)) {
    // Never the implicit MX here: an attacker who can suppress the answer would choose the host.
    return Undeliverable{Undeliverable::Kind::temporary, "4.4.3",
                         fmt::format("MX lookup of {} failed: {}", domain.text(), failed->reason)};
  }
  if (const auto* none = std::get_if<net::DnsNoRecord>(&answer)) {
    if (!none->name_exists) {
      return Undeliverable{Undeliverable::Kind::permanent, "5.1.2",
                           fmt::format("the domain {} does not exist", domain.text())};
    }
    return std::vector{MxHost{domain, 0, MxHost::Source::implicit}};
  }
  const auto* records =
      std::get_if<std::vector<net::DnsMx>>(&std::get<net::DnsAnswer>(answer).records);
  auto found = from_records(records != nullptr ? *records : std::vector<net::DnsMx>{}, domain);
  auto* hosts = std::get_if<std::vector<MxHost>>(&found);
  if (hosts == nullptr) {
    return found;
  }
  order(*hosts, shuffle);
  const auto self = std::find_if(hosts->begin(), hosts->end(),
                                 [&](const MxHost& host) { return host.name.text() == own_name; });
  if (self != hosts->end()) {
    const std::uint16_t own_preference = self->preference;
    std::erase_if(*hosts, [&](const MxHost& host) { return host.preference >= own_preference; });
    if (hosts->empty()) {
      return Undeliverable{Undeliverable::Kind::permanent, "5.4.6",
                           fmt::format("mail for {} loops back to this relay: {} is its best MX",
                                       domain.text(), own_name)};
    }
  }
  if (hosts->size() > max_hosts) {
    hosts->resize(max_hosts, hosts->front());
  }
  return found;
}

HostAddresses host_addresses(const net::DomainName& host, const net::DnsResult& a,
                             const net::DnsResult& aaaa, std::uint16_t port,
                             PrivateAddresses private_addresses, UseIpv6 ipv6) {
  const std::vector<net::SocketAddress> v6 =
      ipv6 == UseIpv6::yes ? addresses_of(aaaa, port) : std::vector<net::SocketAddress>{};
  std::vector<net::SocketAddress> all = interleave(v6, addresses_of(a, port));
  if (all.empty()) {
    return no_addresses(host, a, aaaa);
  }
  if (private_addresses == PrivateAddresses::refused) {
    std::erase_if(all, [](const net::SocketAddress& address) { return !address.is_public(); });
  }
  if (all.empty()) {
    return {{},
            HostAddresses::Problem::refused,
            fmt::format("the host {} has only private or loopback addresses", host.text())};
  }
  return {std::move(all), HostAddresses::Problem::none, {}};
}

}  // namespace relay::delivery
