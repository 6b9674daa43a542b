// Background refresh (RFC 8461 §5.1, §10.2): when a cached policy is fetched again whatever the TXT
// record says, and what is said of one that cannot be. Pure; time and chance are arguments.
#pragma once

#include <string_view>

#include "sts/policy_cache.h"

namespace sts {

/// When a policy is to be fetched again: 12 to 30 hours after its fetch, where nobody can know, and
/// before half of a max_age shorter than that. One that is overdue, as after a stop, comes within
/// the hour. random: in [0, 1). Never after the policy's expiry, which is the answer where no
/// moment before it is left.
[[nodiscard]] Time refresh_due(const CachedPolicy& policy, Time now, double random);

/// The same with a back-off (null: none) obeyed: after a failed fetch, or for the second look at a
/// policy that its id ran ahead of (§8.1).
[[nodiscard]] Time next_refresh(const CachedPolicy& policy, const FetchBackoff* backoff, Time now,
                                double random);

/// A policy that lives for minutes only would be fetched all day; it is left to expire once no mail
/// goes there any more. wanted: PolicyCache::wanted().
enum class Interest { wanted, lost };
[[nodiscard]] bool worth_refreshing(const CachedPolicy& policy, Interest interest);

/// How urgent it is that a policy cannot be refreshed. Stable names: "none", "info", "warning",
/// "error".
enum class Alert { none, info, warning, error };
[[nodiscard]] std::string_view name(Alert alert);

/// A domain whose policy could not be fetched again since some time.
struct FailingRefresh {
  Time since{};
  Alert said = Alert::none;  ///< the most urgent alert given so far
  DiscoveryFault fault{};
  Time expires_at{};
};

/// What is to be said after one more failure: info at first, a warning after a day, an error once
/// half of the life that was left is over; each once. Silent for mode none (§8.3: who opted out
/// takes the policy host away).
[[nodiscard]] Alert alert_due(const FailingRefresh& failing, const CachedPolicy& policy, Time now);

}  // namespace sts
