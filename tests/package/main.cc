#include <iostream>

#include "sts/enforcement.h"

int main() {
  const auto parsed =
      sts::parse_policy("version: STSv1\nmode: enforce\nmx: *.example.net\nmax_age: 86400\n",
                        sts::Strictness::strict);
  const sts::Policy* policy = parsed.policy ? &*parsed.policy : nullptr;
  const bool listed = sts::admit_host(policy, "mx1.example.net") == sts::Admission::admit;
  const bool refused = sts::admit_host(policy, "mx1.example.org") == sts::Admission::refuse;
  std::cout << (listed && refused ? "the policy is obeyed" : "the policy is not obeyed") << '\n';
}
