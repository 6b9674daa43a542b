// What is remembered of a policy domain whose policy could not be fetched, or was lost: a restart
// neither ends a back-off nor forgets since when a refresh fails. A value.
#pragma once

#include <optional>
#include <string>

#include "sts/policy_cache.h"
#include "sts/refresh.h"

namespace relay::spool {

struct PolicyTrouble {
  /// Whether the operator was told that a policy expired without being replaced.
  enum class Loss { none, told };

  std::string domain;
  std::optional<sts::FetchBackoff> backoff;
  std::optional<sts::FailingRefresh> failing;  ///< without expires_at, which the policy has
  Loss loss = Loss::none;

  [[nodiscard]] bool empty() const { return !backoff && !failing && loss == Loss::none; }
};

}  // namespace relay::spool
