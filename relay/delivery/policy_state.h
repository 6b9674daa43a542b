// What a worker knows about one policy domain now, and about all of its domains. Values.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "relay/net/clock.h"
#include "sts/policy_cache.h"
#include "sts/refresh.h"

namespace relay::delivery {

struct PolicyState {
  std::shared_ptr<const sts::CachedPolicy> policy;  ///< in force; null: none
  std::optional<net::WallTime> refresh_at;          ///< when it is fetched again
  std::optional<sts::FailingRefresh> failing;       ///< set: that did not work lately
  std::optional<sts::FetchBackoff> backoff;
};

/// Readable from any thread.
struct PolicyGauges {
  std::atomic<std::size_t> cached{0};   ///< policies in memory
  std::atomic<std::size_t> failing{0};  ///< of these, those that could not be refreshed lately
  std::atomic<std::int64_t> earliest_expiry{0};  ///< of the failing: ms since 1970; 0: none
  std::atomic<std::size_t> unsaved{0};           ///< in memory only: the store refused them

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

  void add(const PolicyGauges& gauges) {
    cached += gauges.cached;
    failing += gauges.failing;
    unsaved += gauges.unsaved;
    const auto earliest = gauges.earliest();
    if (earliest && (!earliest_expiry || *earliest < *earliest_expiry)) {
      earliest_expiry = earliest;
    }
  }
};

}  // namespace relay::delivery
