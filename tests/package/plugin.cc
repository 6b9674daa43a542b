#include "plugin.h"

#include "sts/enforcement.h"

bool policy_is_obeyed() {
  const auto parsed =
      sts::parse_policy("version: STSv1\nmode: enforce\nmx: *.example.net\nmax_age: 86400\n",
                        sts::Strictness::strict);
  const sts::Policy* policy = parsed.policy ? &*parsed.policy : nullptr;
  const bool listed = sts::admit_host(policy, "mx1.example.net") == sts::Admission::admit;
  const bool refused = sts::admit_host(policy, "mx1.example.org") == sts::Admission::refuse;
  return listed && refused;
}
