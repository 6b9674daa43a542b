#include "relay/delivery/policy_state.h"

#include <algorithm>

namespace relay::delivery {
namespace {

constexpr std::size_t kReasons = 100;
constexpr std::size_t kFailingShown = 20;
constexpr auto kOther = "other";

}  // namespace

void FetchFailures::count(const sts::DiscoveryFault& fault) {
  const std::lock_guard lock(mutex_);
  const Key key{fault.kind, fault.reason};
  if (counts_.contains(key) || counts_.size() < kReasons) {
    ++counts_[key];
  } else {
    ++counts_[{fault.kind, kOther}];
  }
}

void FetchFailures::add_to(Counts& sums) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, count] : counts_) {
    sums[key] += count;
  }
}

PolicyFound found_by(const sts::PolicyVerdict& verdict) {
  if (verdict.policy != nullptr) {
    return verdict.source == sts::PolicyVerdict::Source::fetched ? PolicyFound::fetched
                                                                 : PolicyFound::cached;
  }
  if (verdict.fault) {
    return PolicyFound::failed;
  }
  return verdict.record_unknown ? PolicyFound::unknown : PolicyFound::absent;
}

std::string_view name(PolicyFound found) {
  switch (found) {
    case PolicyFound::cached:
      return "cached";
    case PolicyFound::fetched:
      return "fetched";
    case PolicyFound::absent:
      return "absent";
    case PolicyFound::unknown:
      return "unknown";
    case PolicyFound::failed:
      return "failed";
  }
  return "";
}

void FailingPolicies::set(std::vector<FailingPolicy> all) {
  std::vector<FailingPolicy> first = earliest(std::move(all));
  const std::lock_guard lock(mutex_);
  first_ = std::move(first);
}

std::vector<FailingPolicy> FailingPolicies::first() const {
  const std::lock_guard lock(mutex_);
  return first_;
}

std::vector<FailingPolicy> earliest(std::vector<FailingPolicy> all) {
  const auto shown = static_cast<std::ptrdiff_t>(std::min(all.size(), kFailingShown));
  std::partial_sort(all.begin(), all.begin() + shown, all.end(),
                    [](const FailingPolicy& a, const FailingPolicy& b) {
                      return std::pair(a.failing.expires_at, std::string_view(a.domain)) <
                             std::pair(b.failing.expires_at, std::string_view(b.domain));
                    });
  all.resize(static_cast<std::size_t>(shown));
  return all;
}

void PolicyTotals::add(const PolicyGauges& gauges) {
  cached += gauges.cached;
  failing += gauges.failing;
  unsaved += gauges.unsaved;
  const auto earliest_of = gauges.earliest();
  if (earliest_of && (!earliest_expiry || *earliest_of < *earliest_expiry)) {
    earliest_expiry = earliest_of;
  }
  gauges.failures.add_to(fetch_failures);
  for (std::size_t i = 0; i < lookups.size(); ++i) {
    lookups.at(i) += gauges.lookups.at(i);
  }
  const auto more = gauges.failing_policies.first();
  failing_policies.insert(failing_policies.end(), more.begin(), more.end());
  failing_policies = delivery::earliest(std::move(failing_policies));
}

}  // namespace relay::delivery
