// What a policy asks of one MX host (RFC 8461 §4, §5).
#pragma once

#include <string_view>

#include "sts/policy.h"

namespace sts {

enum class Admission {
  admit,             ///< covered by the policy, or there is nothing to obey
  admit_and_report,  ///< testing: not covered; go on and report
  refuse,            ///< enforce: not covered; treat as unreachable
};
/// policy: null for none.
[[nodiscard]] Admission admit_host(const Policy* policy, std::string_view mx_host);

enum class RequiredTls { opportunistic, verified };
[[nodiscard]] RequiredTls required_tls(const Policy* policy);

}  // namespace sts
