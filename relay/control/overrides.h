// The operator's TLS rules on the control socket: what people wrote into checked values, and values
// into JSON. Pure.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "relay/control/control_actions.h"
#include "relay/control/control_protocol.h"
#include "relay/net/clock.h"
#include "relay/net/expected.h"
#include "relay/spool/policy_override.h"

namespace relay::control {

/// "Bücher.example" or "*.Example.com" in the form that rules are kept by; nullopt: no such thing.
[[nodiscard]] std::optional<std::string> rule_domain(const std::string& text);
/// Checks as the configuration does. The error is a sentence that names what is wrong.
[[nodiscard]] Expected<spool::PolicyOverride, std::string> to_override(const OverrideSet& request,
                                                                       net::WallTime now);
[[nodiscard]] nlohmann::ordered_json override_view(const spool::PolicyOverride& rule,
                                                   net::WallTime now);
/// The part of `status` about the operator's rules.
[[nodiscard]] nlohmann::ordered_json tls_policy_view(const StatusFacts& facts, net::WallTime now);

}  // namespace relay::control
