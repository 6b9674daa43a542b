// The one place that decides what TLS a session with an MX host needs: the policy domain's MTA-STS
// policy (RFC 8461 §4, §5) or, without one, opportunistic TLS (RFC 7435). Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "relay/smtp/tls_requirement.h"
#include "sts/policy_cache.h"

namespace relay::delivery {

/// Whether the policy's mx patterns hold the MX host.
enum class Coverage { no_policy, covered, uncovered };

/// The verdict for one MX host of one policy domain.
struct HostDecision {
  /// What a session must achieve; nullopt: the host must not be connected to.
  std::optional<smtp::TlsRequirement> requirement;
  Coverage coverage = Coverage::no_policy;
  /// One sentence naming policy, host and rule, for log and DSN.
  std::string explanation;
};

/// mx_host: the host name of the MX record (not a CNAME target), or the domain itself for an
/// implicit MX. policy: in force for the policy domain, or null.
[[nodiscard]] HostDecision decide(const sts::CachedPolicy* policy, std::string_view mx_host);

/// Whether failure to deliver to any host must stay temporary (RFC 8461 §5.1).
[[nodiscard]] bool failures_stay_temporary(const sts::CachedPolicy* policy);

/// Whether two verdicts ask for the same: used when a policy is looked at again after failure.
[[nodiscard]] bool same_policy(const sts::CachedPolicy* a, const sts::CachedPolicy* b);

}  // namespace relay::delivery
