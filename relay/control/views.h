// What the daemon tells about messages, policies, results and itself, as JSON. Pure.
#pragma once

#include <nlohmann/json.hpp>

#include "relay/control/control_actions.h"
#include "rpt/tally.h"
#include "sts/policy_cache.h"

namespace relay::control {

using Json = nlohmann::ordered_json;

/// Recipients beyond this many are only counted in lists.
inline constexpr std::size_t kListedRecipients = 20;

[[nodiscard]] Json message_summary(const spool::Envelope& envelope);
[[nodiscard]] Json message_details(const spool::Envelope& envelope);
[[nodiscard]] Json client_hold_view(const spool::ClientHold& hold);
[[nodiscard]] Json client_view(const reception::ClientState& client);
[[nodiscard]] Json pause_view(const spool::Pause& pause);
[[nodiscard]] Json policy_summary(const sts::CachedPolicy& policy, net::WallTime now);
[[nodiscard]] Json policy_details(const sts::CachedPolicy& policy, net::WallTime now);
/// When it is fetched again, and what is wrong with that.
[[nodiscard]] Json policy_state_view(const delivery::PolicyState& state);
/// What came of fetching a policy on demand: "fetched", "failed", "nothing" (none is announced).
[[nodiscard]] Json refresh_view(const std::string& domain, const sts::PolicyVerdict& verdict,
                                net::WallTime now);
[[nodiscard]] Json replaced_policy_view(const spool::ReplacedPolicy& replaced);
[[nodiscard]] Json result_view(const rpt::Tally::Key& key, const rpt::PolicyCounts& counts);
[[nodiscard]] Json status_view(const StatusFacts& facts, const spool::SpoolReader::Totals& totals,
                               net::WallTime now);

/// As text; octets that are not UTF-8 (peer text) are replaced.
[[nodiscard]] std::string to_text(const Json& json);

}  // namespace relay::control
