#include "relay/reception/access.h"

#include <algorithm>
#include <vector>

namespace relay::reception {
namespace {

bool any_contains(const std::vector<conf::Network>& networks, std::string_view ip) {
  return std::any_of(networks.begin(), networks.end(),
                     [ip](const conf::Network& network) { return network.contains(ip); });
}

bool is_one(const std::vector<std::string>& names, std::string_view name) {
  return !name.empty() && std::find(names.begin(), names.end(), name) != names.end();
}

smtp::AddressFilter filter(const conf::AddressFilter& from) {
  return {from.allow, from.deny};
}

}  // namespace

Permission permission(const conf::Listener& listener, std::string_view client_ip) {
  Permission result;
  if (listener.address.is_unix() ||
      (!listener.auth.required && any_contains(listener.allow_networks, client_ip))) {
    result.relaying = smtp::Relaying::allowed;
  }
  if (any_contains(listener.normalize_networks, client_ip)) {
    result.line_ends = smtp::LineEnds::normalize_bare;
  }
  return result;
}

bool is_allowed(const conf::Listener& listener, const net::ClientCertificate& certificate) {
  const auto& names = certificate.names;
  return std::any_of(listener.allow_certificates.begin(), listener.allow_certificates.end(),
                     [&](const std::string& allowed) {
                       return allowed == certificate.sha256 ||
                              (allowed == "*" && certificate.vouched) ||
                              std::find(names.begin(), names.end(), allowed) != names.end();
                     });
}

Fit fit(const conf::ClientRule& rule, const Client& client, std::string_view user) {
  if (is_one(rule.users, user) || (client.ip.empty() && is_one(rule.users, client.name))) {
    return Fit::user;
  }
  return any_contains(rule.networks, client.ip) ? Fit::network : Fit::none;
}

smtp::EnvelopeRules envelope_rules(const conf::Listener& listener, const Client& client,
                                   std::string_view user) {
  smtp::EnvelopeRules rules;
  rules.senders.push_back(filter(listener.senders));
  rules.recipients.push_back(filter(listener.recipients));
  for (const conf::ClientRule& rule : listener.client_rules) {
    if (fit(rule, client, user) != Fit::none) {
      rules.senders.push_back(filter(rule.senders));
      rules.recipients.push_back(filter(rule.recipients));
    }
  }
  rules.rewrites.reserve(listener.rewrite_senders.size());
  for (const conf::SenderRewrite& rewrite : listener.rewrite_senders) {
    rules.rewrites.push_back({rewrite.match, rewrite.to});
  }
  return rules;
}

}  // namespace relay::reception
