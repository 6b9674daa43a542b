// What the operator says about the TLS of a policy domain.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/net/clock.h"
#include "sts/policy.h"

namespace relay::delivery {

enum class LocalLevel { none, opportunistic, encrypt, verify, dane, dane_only, fingerprint };
struct LocalRule {
  LocalLevel level = LocalLevel::opportunistic;
  std::vector<sts::MxPattern> mx;
  std::vector<std::string> fingerprints;
  enum class Purpose { default_level, rule, pin, exemption } purpose = Purpose::default_level;
  std::optional<net::WallTime> until;
  std::string reason;
  enum class Effect { enforced, report_only } effect = Effect::enforced;
  std::string origin;
};

}  // namespace relay::delivery
