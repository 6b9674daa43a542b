#include "relay/reception/access.h"

#include <algorithm>
#include <vector>

namespace relay::reception {
namespace {

bool any_contains(const std::vector<conf::Network>& networks, std::string_view ip) {
  return std::any_of(networks.begin(), networks.end(),
                     [ip](const conf::Network& network) { return network.contains(ip); });
}

}  // namespace

Permission permission(const conf::Listener& listener, std::string_view client_ip) {
  Permission result;
  if (!listener.auth.required && any_contains(listener.allow_networks, client_ip)) {
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

}  // namespace relay::reception
