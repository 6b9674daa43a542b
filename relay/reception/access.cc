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
  if (any_contains(listener.allow_networks, client_ip)) {
    result.relaying = smtp::Relaying::allowed;
  }
  if (any_contains(listener.normalize_networks, client_ip)) {
    result.line_ends = smtp::LineEnds::normalize_bare;
  }
  return result;
}

}  // namespace relay::reception
