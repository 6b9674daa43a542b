#include "relay/reception/sending_limits.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <netinet/in.h>
#include <vector>

#include <fmt/format.h>

namespace relay::reception {
namespace {

/// The closest first.
std::vector<const conf::ClientLimits*> limits_for(const conf::Listener& listener,
                                                  const Client& client, std::string_view user) {
  std::vector<const conf::ClientLimits*> found;
  for (const Fit wanted : {Fit::user, Fit::network}) {
    for (const conf::ClientRule& rule : listener.client_rules) {
      if (rule.limits && fit(rule, client, user) == wanted) {
        found.push_back(&*rule.limits);
      }
    }
  }
  found.push_back(&listener.limits);
  return found;
}

/// What the first of them says that says something.
template <class Value>
Value first_given(const std::vector<const conf::ClientLimits*>& sections,
                  std::optional<Value> conf::ClientLimits::*member, Value otherwise) {
  const auto given = std::ranges::find_if(
      sections, [member](const auto* section) { return (section->*member).has_value(); });
  return given == sections.end() ? otherwise : *((*given)->*member);
}

}  // namespace

SendingLimits sending_limits(const conf::Listener& listener, const Client& client,
                             std::string_view user) {
  using Limits = conf::ClientLimits;
  const auto sections = limits_for(listener, client, user);
  SendingLimits limits;
  limits.connections =
      static_cast<std::size_t>(std::max(0, first_given(sections, &Limits::connections, 0)));
  limits.messages = conf::parse_rate(first_given(sections, &Limits::messages, std::string()));
  limits.recipients = conf::parse_rate(first_given(sections, &Limits::recipients, std::string()));
  limits.over = first_given(sections, &Limits::over, Limits::Over::hold);
  return limits;
}

std::string too_many_connections(const SendingLimits& limits) {
  return fmt::format("Too many connections: no more than {} at once from you", limits.connections);
}

std::string counted_name(const Client& client) {
  in6_addr address{};
  if (::inet_pton(AF_INET6, client.ip.c_str(), &address) != 1) {
    return client.name;
  }
  constexpr std::size_t kNetworkOctets = 8;
  std::fill(std::begin(address.s6_addr) + kNetworkOctets, std::end(address.s6_addr), 0);
  std::array<char, INET6_ADDRSTRLEN> text{};
  (void)::inet_ntop(AF_INET6, &address, text.data(), text.size());
  return std::string(text.data()) + "/64";
}

std::string counted_name(const net::ClientCertificate& certificate) {
  return certificate.names.empty() ? certificate.sha256 : certificate.names.front();
}

}  // namespace relay::reception
