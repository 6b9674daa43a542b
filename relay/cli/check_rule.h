// How `stsrelay check` shows the operator's rule for a domain. Pure.
#pragma once

#include <string>
#include <string_view>

#include "relay/cli/output.h"
#include "relay/delivery/local_rules.h"

namespace relay::cli {

/// "an override", "the rule tls_policy.domains.example.com"
[[nodiscard]] std::string rule_source(const delivery::LocalRule& rule);
/// What it asks for: "verify, only mx.example.com, report-only"
[[nodiscard]] std::string rule_demand(const delivery::LocalRule& rule);
/// ", until 2026-12-31 (ticket 123)"; "" where neither is given.
[[nodiscard]] std::string rule_end(const delivery::LocalRule& rule);
/// Whether it changes anything: the plain default does not.
[[nodiscard]] bool says_something(const delivery::LocalRule* rule);
/// null: no rule was looked for.
[[nodiscard]] Json rule_json(const delivery::LocalRule* rule);

/// "default", "rule", "pin", "exemption"
[[nodiscard]] std::string_view name(delivery::LocalRule::Purpose purpose);

}  // namespace relay::cli
