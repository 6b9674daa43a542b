#include "relay/delivery/policy_state.h"

#include <doctest/doctest.h>

namespace relay::delivery {
namespace {

using Kind = sts::DiscoveryFault::Kind;

FailingPolicy failing(const std::string& domain, int expires_at) {
  FailingPolicy policy{domain, {}};
  policy.failing.expires_at = net::WallTime(std::chrono::seconds(expires_at));
  return policy;
}

}  // namespace

TEST_CASE("failed fetches are counted by fault and reason, the workers' added up, in a bound") {
  PolicyGauges first;
  PolicyGauges second;
  first.failures.count({Kind::fetch_error, "http-404"});
  first.failures.count({Kind::fetch_error, "http-404"});
  second.failures.count({Kind::fetch_error, "http-404"});
  second.failures.count({Kind::policy_invalid, "no-mx"});
  PolicyTotals totals;
  totals.add(first);
  totals.add(second);
  CHECK(totals.fetch_failures == FetchFailures::Counts{{{Kind::fetch_error, "http-404"}, 3},
                                                       {{Kind::policy_invalid, "no-mx"}, 1}});
  for (int i = 0; i < 1000; ++i) {
    first.failures.count({Kind::webpki_invalid, "reason-" + std::to_string(i)});
  }
  FetchFailures::Counts counts;
  first.failures.add_to(counts);
  CHECK(counts.size() <= 103);
  CHECK(counts[{Kind::webpki_invalid, "other"}] == 901);
}

TEST_CASE("of failing policies those are shown that expire first, of all workers") {
  PolicyGauges first;
  PolicyGauges second;
  std::vector<FailingPolicy> many;
  for (int i = 100; i > 0; --i) {
    many.push_back(failing("d" + std::to_string(i) + ".example", 10 * i));
  }
  first.failing_policies.set(many);
  second.failing_policies.set({failing("b.example", 25), failing("a.example", 25)});
  PolicyTotals totals;
  totals.add(first);
  totals.add(second);
  REQUIRE(totals.failing_policies.size() == 20);
  CHECK(totals.failing_policies[0].domain == "d1.example");
  CHECK(totals.failing_policies[2].domain == "a.example");
  CHECK(totals.failing_policies[3].domain == "b.example");
  CHECK(totals.failing_policies[4].domain == "d3.example");
}

}  // namespace relay::delivery
