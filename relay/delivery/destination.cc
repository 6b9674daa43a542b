#include "relay/delivery/destination.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"

namespace relay::delivery {
namespace {

bool domain_matches(std::string_view pattern, std::string_view domain) {
  if (pattern == "*" || pattern == domain) {
    return true;
  }
  return pattern.starts_with("*.") && domain.size() > pattern.size() - 1 &&
         domain.ends_with(pattern.substr(1));
}

bool sender_matches(const std::string& pattern, const std::string& sender) {
  if (pattern.empty()) {
    return true;
  }
  const std::size_t at = sender.rfind('@');
  if (at == std::string::npos) {
    return false;
  }
  const std::string domain = smtp::lower(std::string_view(sender).substr(at + 1));
  const std::size_t pattern_at = pattern.rfind('@');
  return pattern_at == std::string::npos
             ? domain_matches(pattern, domain)
             // Which local parts are one is known to their own domain only (RFC 5321 §2.4).
             : pattern.substr(pattern_at + 1) == domain &&
                   pattern.substr(0, pattern_at) == sender.substr(0, at);
}

bool route_matches(const conf::Route& route, const MailPath& path) {
  return (route.match.empty() || domain_matches(route.match, path.domain)) &&
         sender_matches(route.sender, path.sender) &&
         (route.listener.empty() || route.listener == path.listener);
}

Undeliverable bad_route(const conf::Route& route, std::string_view name) {
  return Undeliverable{
      Undeliverable::Kind::temporary, "4.3.5",
      fmt::format("the route for {} names the unusable next hop {}", route.title(), name)};
}

NextHop hop_of(const conf::Route& route, std::variant<MxLookup, FixedHost, FixedAddress> target,
               std::uint16_t port) {
  NextHop hop{std::move(target), port, NextHop::Origin::route};
  hop.helo = route.helo;
  hop.source_ipv4 = route.source_ipv4;
  hop.source_ipv6 = route.source_ipv6;
  return hop;
}

/// The host that a route names; port: as given there.
std::variant<NextHop, Undeliverable> host_hop(const conf::Route& route, const std::string& host,
                                              std::uint16_t port) {
  if (auto address = net::SocketAddress::from_ip(host, port)) {
    return hop_of(route, FixedAddress{*address}, port);
  }
  auto name = net::DomainName::parse(host);
  if (!name) {
    return bad_route(route, host);
  }
  return hop_of(route, FixedHost{*name}, port);
}

std::variant<std::vector<NextHop>, Undeliverable> upstream_hops(const conf::Route& route,
                                                                std::uint16_t mx_port) {
  std::vector<NextHop> hops;
  hops.reserve(route.upstreams.size());
  for (const conf::Upstream& upstream : route.upstreams) {
    auto found = host_hop(route, upstream.host, upstream.port == 25 ? mx_port : upstream.port);
    if (auto* end = std::get_if<Undeliverable>(&found)) {
      return std::move(*end);
    }
    hops.push_back(std::get<NextHop>(std::move(found)));
    hops.back().upstream = std::make_shared<const conf::Upstream>(upstream);
  }
  return hops;
}

std::variant<std::vector<NextHop>, Undeliverable> routed(const conf::Route& route,
                                                         std::uint16_t mx_port) {
  if (!route.upstreams.empty()) {
    return upstream_hops(route, mx_port);
  }
  const std::uint16_t port = route.port == 25 ? mx_port : route.port;
  if (route.mx.empty()) {
    auto found = host_hop(route, route.host, port);
    if (auto* end = std::get_if<Undeliverable>(&found)) {
      return std::move(*end);
    }
    return std::vector{std::get<NextHop>(std::move(found))};
  }
  auto name = net::DomainName::parse(route.mx);
  if (!name) {
    return bad_route(route, route.mx);
  }
  return std::vector{hop_of(route, MxLookup{*name}, port)};
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
  std::string key;
  if (const auto* address = std::get_if<FixedAddress>(&target)) {
    key = address->address.literal();
  } else {
    const std::string_view kind = std::holds_alternative<FixedHost>(target) ? "host" : "mx";
    key = fmt::format("{}:{}:{}", kind, policy_domain()->text(), port);
  }
  return upstream != nullptr && upstream->auth ? fmt::format("{}:{}", key, upstream->auth->user)
                                               : key;
}

std::variant<std::vector<NextHop>, Undeliverable> next_hops(const std::vector<conf::Route>& routes,
                                                            const MailPath& path,
                                                            std::uint16_t mx_port) {
  const auto route = std::find_if(routes.begin(), routes.end(), [&](const conf::Route& each) {
    return route_matches(each, path);
  });
  if (route != routes.end()) {
    return routed(*route, mx_port);
  }
  auto name = net::DomainName::parse(path.domain);
  if (!name) {
    return Undeliverable{Undeliverable::Kind::permanent, "5.1.2",
                         fmt::format("{} is no domain that mail can be sent to: {}", path.domain,
                                     name.error().reason)};
  }
  return std::vector{NextHop{MxLookup{*name}, mx_port, NextHop::Origin::recipient_domain}};
}

bool leads_to(const conf::Route& route, const std::string& key, std::uint16_t mx_port) {
  const auto found = routed(route, mx_port);
  const auto* hops = std::get_if<std::vector<NextHop>>(&found);
  return hops != nullptr && hops->front().key() == key;
}

std::variant<NextHop, Undeliverable> next_hop(const std::vector<conf::Route>& routes,
                                              const MailPath& path, std::uint16_t mx_port) {
  auto found = next_hops(routes, path, mx_port);
  if (auto* end = std::get_if<Undeliverable>(&found)) {
    return std::move(*end);
  }
  return std::move(std::get<std::vector<NextHop>>(found).front());
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

const conf::DestinationRule* rule_of(const conf::Delivery& delivery, const std::string& domain) {
  auto rule = delivery.domains.find(domain);
  for (std::size_t dot = domain.find('.');
       rule == delivery.domains.end() && dot != std::string::npos;
       dot = domain.find('.', dot + 1)) {
    rule = delivery.domains.find("*" + domain.substr(dot));
  }
  return rule == delivery.domains.end() ? nullptr : &rule->second;
}

bool uses_ipv6(const conf::Delivery& delivery, const std::string& domain) {
  const conf::DestinationRule* rule = rule_of(delivery, domain);
  return rule != nullptr && rule->ipv6 ? *rule->ipv6 == conf::DestinationRule::Ipv6::yes
                                       : delivery.ipv6;
}

HostAddresses host_addresses(const net::DomainName& host, const net::DnsResult& a,
                             const net::DnsResult& aaaa, std::uint16_t port,
                             PrivateAddresses private_addresses, Families families) {
  std::vector<net::SocketAddress> v6;
  if (families != Families::only_ipv4) {
    v6 = addresses_of(aaaa, port);
  }
  const std::vector<net::SocketAddress> v4 = addresses_of(a, port);
  std::vector<net::SocketAddress> all =
      families == Families::ipv4_first ? interleave(v4, v6) : interleave(v6, v4);
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
