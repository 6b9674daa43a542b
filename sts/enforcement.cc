#include "sts/enforcement.h"

namespace sts {

Admission admit_host(const Policy* policy, std::string_view mx_host) {
  if (policy == nullptr || policy->mode == Mode::none || policy->covers(mx_host)) {
    return Admission::admit;
  }
  // RFC 8461 §5: in testing mode a host outside the policy is used and reported.
  return policy->mode == Mode::testing ? Admission::admit_and_report : Admission::refuse;
}

RequiredTls required_tls(const Policy* policy) {
  return policy != nullptr && policy->mode == Mode::enforce ? RequiredTls::verified
                                                            : RequiredTls::opportunistic;
}

}  // namespace sts
