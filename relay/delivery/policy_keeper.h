// Keeps the policies of one worker's domains: in memory, on disk, with a plan of when each is
// fetched again (RFC 8461 §10.2), and tells the operator what becomes of them. Threading: one loop.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "relay/delivery/policy_log.h"
#include "relay/delivery/policy_state.h"
#include "relay/log.h"
#include "relay/net/clock.h"
#include "relay/net/event_loop.h"
#include "relay/spool/policy_trouble.h"
#include "relay/spool/spool.h"
#include "sts/discovery.h"
#include "sts/policy_cache.h"

namespace relay::delivery {

/// What the disk has of one worker's domains.
struct StoredPolicies {
  std::vector<std::shared_ptr<const sts::CachedPolicy>> policies;
  std::vector<spool::PolicyTrouble> troubles;
};

class PolicyKeeper {
 public:
  struct Options {
    std::size_t capacity = 1'000'000;  ///< of domains
    int history = 5;                   ///< replaced policies kept per domain
    std::function<double()> random;    ///< in [0, 1), unpredictable; empty: of its own making
  };
  /// What became of a discovery.
  struct Outcome {
    const std::string& domain;
    const sts::CachedPolicy* before;  ///< cached when it began; null: nothing
    sts::Purpose purpose;
    sts::FetchedFor fetched_for;
    const sts::PolicyVerdict& verdict;
  };

  PolicyKeeper(net::EventLoop& loop, const net::Clock& clock, spool::Spool& spool, Log& log,
               Options options);
  ~PolicyKeeper() = default;
  PolicyKeeper(const PolicyKeeper&) = delete;
  PolicyKeeper& operator=(const PolicyKeeper&) = delete;

  /// Takes stored policies and troubles. Policies that have expired are reported once and stay on
  /// the disk for a while, not in force: it may be the clock that is wrong.
  void load(const StoredPolicies& stored);
  /// Keeps, logs and plans what a verdict asks for. Two discoveries that waited for one fetch may
  /// both report it.
  void keep(const Outcome& outcome);
  /// Takes an expired policy off the shelf, if it still is there.
  void lose(const std::string& domain, const std::string& reason);

  [[nodiscard]] sts::PolicyCache& cache() { return cache_; }
  [[nodiscard]] const sts::PolicyCache& cache() const { return cache_; }
  [[nodiscard]] PolicyState state(const std::string& domain) const;
  [[nodiscard]] const PolicyGauges& gauges() const { return gauges_; }

 private:
  [[nodiscard]] bool is_known(const Outcome& outcome) const;
  void load_policy(const std::shared_ptr<const sts::CachedPolicy>& policy,
                   const spool::PolicyTrouble& trouble);
  void tell(const Outcome& outcome);
  void keep_on_disk(const Outcome& outcome);
  void watch(const Outcome& outcome);
  void save(const sts::CachedPolicy& policy, std::string why);
  void save_again();
  void forget(const std::string& domain, std::string why);
  [[nodiscard]] spool::PolicyTrouble trouble_of(const std::string& domain) const;
  void save_trouble(const std::string& domain);
  void evicted(const sts::CachedPolicy& policy);
  void saved(const std::string& domain, const spool::Stored<void>& result);
  void plan(const std::string& domain);
  void publish();

  net::EventLoop& loop_;
  const net::Clock& clock_;
  spool::Spool& spool_;
  Log& log_;
  PolicyLog events_;
  Options options_;
  std::function<double()> random_;
  sts::PolicyCache cache_;
  std::map<std::string, sts::FailingRefresh> failing_;
  std::map<std::string, net::WallTime> lost_;  // unreplaced: when they expired
  std::set<std::string> unsaved_;              // in memory only
  net::Timer save_timer_;
  PolicyGauges gauges_;
  /// Answers of the spool may outlive the keeper.
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace relay::delivery
