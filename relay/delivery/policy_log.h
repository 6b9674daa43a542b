// What the log says about policies: fetched, weakened, lost, or failing to be.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "relay/log.h"
#include "relay/net/clock.h"
#include "sts/discovery.h"
#include "sts/refresh.h"

namespace relay::delivery {

class PolicyLog {
 public:
  PolicyLog(Log& log, const net::Clock& clock) : log_(log), clock_(clock) {}

  /// A policy was fetched. before: what it takes the place of, or null.
  void fetched(const sts::CachedPolicy* before, const sts::PolicyVerdict& verdict,
               sts::Purpose purpose);
  /// A fetch failed (verdict.backoff is set).
  void failed(const std::string& domain, const sts::CachedPolicy* before,
              const sts::PolicyVerdict& verdict, sts::Purpose purpose);
  /// One rung of the ladder that ends with protection lost.
  void failing(const std::string& domain, const sts::FailingRefresh& failing, sts::Alert alert);
  void recovered(const std::string& domain, const sts::FailingRefresh& failing);
  /// What a delivery found of the domain's TXT record; one line when it goes, one when it is back.
  void record(const std::string& domain, const sts::CachedPolicy* before,
              const sts::PolicyVerdict& verdict);
  /// A policy in force had to make room. A warning if it was enforced, once a minute at most.
  void evicted(const sts::CachedPolicy& policy);
  /// A policy expired without being replaced.
  void lost(const sts::CachedPolicy& policy, const std::string& reason);

 private:
  Log& log_;
  const net::Clock& clock_;
  std::set<std::string> without_record_;  ///< domains with a policy in force
  std::uint64_t untold_evictions_ = 0;    ///< of enforced policies, since the last warning
  net::SteadyTime quiet_until_{};         ///< about these
};

}  // namespace relay::delivery
