// A rule about the TLS of a policy domain that an operator set by command: a value.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "relay/net/clock.h"

namespace relay::spool {

struct PolicyOverride {
  std::string domain;  ///< "example.com" or "*.example.com"
  std::string level;   ///< as the configuration writes it
  std::vector<std::string> mx;
  std::vector<std::string> fingerprints;
  std::optional<net::WallTime> until;
  std::string reason;
  enum class Effect { enforced, report_only } effect = Effect::enforced;
  std::string by;  ///< who set it: "uid:1000"; empty: unknown
  net::WallTime set_at{};
  /// ended: its end was logged; it is kept for a while to be shown.
  enum class State { set, ended } state = State::set;
  friend bool operator==(const PolicyOverride&, const PolicyOverride&) = default;
};

}  // namespace relay::spool
