// What a worker knows about one policy domain now, and about all of its domains. Values.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/net/clock.h"
#include "sts/discovery.h"
#include "sts/policy_cache.h"
#include "sts/refresh.h"

namespace relay::delivery {

struct PolicyState {
  std::shared_ptr<const sts::CachedPolicy> policy;  ///< in force; null: none
  std::optional<net::WallTime> refresh_at;          ///< when it is fetched again
  std::optional<sts::FailingRefresh> failing;       ///< set: that did not work lately
  std::optional<sts::FetchBackoff> backoff;
};

/// Failed fetches since the start, by fault and reason code. Bounded: of reasons beyond a hundred
/// each counts as "other". Thread-safe.
class FetchFailures {
 public:
  using Key = std::pair<sts::DiscoveryFault::Kind, std::string>;
  using Counts = std::map<Key, std::uint64_t>;

  void count(const sts::DiscoveryFault& fault);
  void add_to(Counts& sums) const;

 private:
  mutable std::mutex mutex_;
  Counts counts_;
};

/// How a lookup of a policy for mail ended.
enum class PolicyFound {
  cached,
  fetched,
  absent,   ///< the domain publishes none
  unknown,  ///< nobody answered whether it does
  failed,   ///< it does, but it cannot be had, and none was cached
};
inline constexpr std::size_t kPolicyFoundKinds = 5;
[[nodiscard]] PolicyFound found_by(const sts::PolicyVerdict& verdict);
[[nodiscard]] std::string_view name(PolicyFound found);

/// A policy in force that could not be refreshed lately.
struct FailingPolicy {
  std::string domain;
  sts::FailingRefresh failing;
};

/// The first of these to expire, as many as a person reads.
[[nodiscard]] std::vector<FailingPolicy> earliest(std::vector<FailingPolicy> all);

/// The earliest() of a worker's. Thread-safe.
class FailingPolicies {
 public:
  void set(std::vector<FailingPolicy> all);
  [[nodiscard]] std::vector<FailingPolicy> first() const;

 private:
  mutable std::mutex mutex_;
  std::vector<FailingPolicy> first_;
};

/// Readable from any thread.
struct PolicyGauges {
  std::atomic<std::size_t> cached{0};   ///< policies in memory
  std::atomic<std::size_t> failing{0};  ///< of these, those that could not be refreshed lately
  std::atomic<std::int64_t> earliest_expiry{0};  ///< of the failing: ms since 1970; 0: none
  std::atomic<std::size_t> unsaved{0};           ///< in memory only: the store refused them
  FetchFailures failures;
  /// Lookups for mail by PolicyFound; those of a domain at the same moment are one.
  std::array<std::atomic<std::uint64_t>, kPolicyFoundKinds> lookups{};
  FailingPolicies failing_policies;

  /// When the first of the failing policies expires.
  [[nodiscard]] std::optional<net::WallTime> earliest() const {
    const std::int64_t at = earliest_expiry;
    return at == 0 ? std::nullopt : std::optional{net::WallTime{std::chrono::milliseconds{at}}};
  }
};

/// The gauges of all workers together.
struct PolicyTotals {
  std::size_t cached = 0, failing = 0, unsaved = 0;
  std::optional<net::WallTime> earliest_expiry;  ///< of the failing
  std::vector<FailingPolicy> failing_policies;   ///< the first of them to expire
  FetchFailures::Counts fetch_failures;
  std::array<std::uint64_t, kPolicyFoundKinds> lookups{};  ///< as those of PolicyGauges

  void add(const PolicyGauges& gauges);
};

}  // namespace relay::delivery
