#include "relay/delivery/tls_counts.h"

namespace relay::delivery {
namespace {

template <class Counts>
void add(Counts& sums, const Counts& counts) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    sums[i] += counts[i];
  }
}

}  // namespace

void TlsCounts::count(const rpt::SessionResult& session) {
  const std::lock_guard lock(mutex_);
  for (const rpt::PolicyResult& result : session.policies) {
    const auto type = static_cast<std::size_t>(result.policy.type);
    ++(result.failures.empty() ? totals_.succeeded : totals_.failed).at(type);
    for (const rpt::FailureDetail& failure : result.failures) {
      ++totals_.failures.at(static_cast<std::size_t>(failure.type));
    }
  }
}

void TlsCounts::add_to(TlsTotals& sums) const {
  const std::lock_guard lock(mutex_);
  add(sums.succeeded, totals_.succeeded);
  add(sums.failed, totals_.failed);
  add(sums.failures, totals_.failures);
}

}  // namespace relay::delivery
