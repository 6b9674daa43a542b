#include "relay/delivery/tls_policy.h"

#include <fmt/format.h>

#include "sts/enforcement.h"

namespace relay::delivery {
namespace {

smtp::TlsRequirement requirement_of(sts::RequiredTls required) {
  switch (required) {
    case sts::RequiredTls::opportunistic:
      return smtp::TlsRequirement::opportunistic();
    case sts::RequiredTls::verified:
      return smtp::TlsRequirement::verified();
  }
  return smtp::TlsRequirement::verified();
}

std::string explain(const sts::CachedPolicy& policy, std::string_view mx_host,
                    std::string_view verdict) {
  return fmt::format("MTA-STS policy of {} (mode {}, id {}): host {} {}", policy.domain,
                     sts::name(policy.policy.mode), policy.id, mx_host, verdict);
}

}  // namespace

HostDecision decide(const sts::CachedPolicy* policy, std::string_view mx_host) {
  if (policy == nullptr || policy->policy.mode == sts::Mode::none) {
    return {smtp::TlsRequirement::opportunistic(), Coverage::no_policy,
            "no TLS policy: TLS is used if offered, with any certificate"};
  }
  const smtp::TlsRequirement requirement = requirement_of(sts::required_tls(&policy->policy));
  switch (sts::admit_host(&policy->policy, mx_host)) {
    case sts::Admission::admit:
      return {requirement, Coverage::covered,
              explain(*policy, mx_host,
                      requirement == smtp::TlsRequirement::verified()
                          ? "is listed and must prove its name by a valid certificate "
                            "(RFC 8461 section 4.2)"
                          : "is listed; faults are only reported")};
    case sts::Admission::admit_and_report:
      return {requirement, Coverage::uncovered,
              explain(*policy, mx_host, "is not listed; testing mode only reports that")};
    case sts::Admission::refuse:
      return {
          std::nullopt, Coverage::uncovered,
          explain(*policy, mx_host, "is not listed and must not be used (RFC 8461 section 4.1)")};
  }
  return {};
}

bool failures_stay_temporary(const sts::CachedPolicy* policy) {
  return policy != nullptr && policy->policy.mode == sts::Mode::enforce;
}

bool same_policy(const sts::CachedPolicy* a, const sts::CachedPolicy* b) {
  if (a == nullptr || b == nullptr) {
    return a == b;
  }
  return a->id == b->id && a->policy.body == b->policy.body;
}

}  // namespace relay::delivery
