// Policy bodies for sts::parse_policy at both levels.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sts/policy.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

sts::ParsedPolicy parse(std::string_view body, sts::Strictness strictness) {
  auto parsed = sts::parse_policy(body, strictness);
  require(parsed.policy.has_value() == parsed.failure_code().empty());
  require(parsed.diagnostics.size() <= 101);
  if (parsed.policy) {
    const sts::Policy& policy = *parsed.policy;
    require(policy.mode == sts::Mode::none || !policy.mx.empty());
    require(policy.max_age.count() >= 0 && policy.max_age.count() <= 31557600);
    require(policy.body == body);
    // What a pattern says is a pattern again, and matches itself unless it is a wildcard.
    require(std::all_of(policy.mx.begin(), policy.mx.end(), [](const sts::MxPattern& pattern) {
      return sts::MxPattern::parse(pattern.text()) == pattern &&
             pattern.matches(pattern.text()) == (pattern.text().front() != '*');
    }));
  }
  return parsed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body{reinterpret_cast<const char*>(data), size};
  const auto strict = parse(body, sts::Strictness::strict);
  const auto tolerant = parse(body, sts::Strictness::tolerant);
  // The tolerant level accepts more and reads nothing differently.
  if (strict.policy) {
    require(tolerant.policy && tolerant.policy->mode == strict.policy->mode &&
            tolerant.policy->max_age == strict.policy->max_age &&
            tolerant.policy->mx == strict.policy->mx);
  }
  (void)sts::policy_lines(body);
  return 0;
}
