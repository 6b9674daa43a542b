// Why a message is still in the queue: what happened, what comes next and why, in words. Pure.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "conf/config.h"
#include "relay/delivery/local_rules.h"
#include "relay/delivery/pauses.h"
#include "relay/net/clock.h"
#include "relay/spool/message.h"
#include "sts/policy_cache.h"

namespace relay::control {

struct WhyFacts {
  spool::Envelope envelope;
  delivery::Pauses pauses;
  conf::Queue queue;
  std::shared_ptr<const delivery::LocalRules> rules;
  std::set<std::string> busy;  ///< recipient domains that are being tried
  // By recipient domain.
  std::map<std::string, std::string> next_hops;  ///< as delivery::place_of() says; "": nowhere
  std::map<std::string, std::shared_ptr<const sts::CachedPolicy>> policies;
};

/// {id, state, summary, recipients: [{address, happened, next, policy}]}.
[[nodiscard]] nlohmann::ordered_json why_view(const WhyFacts& facts, net::WallTime now);

}  // namespace relay::control
