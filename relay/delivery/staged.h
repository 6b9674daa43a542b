// How attempts end that a relay in staging does not make, and the counts of what it did instead.
// The rules are pure.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "conf/staging.h"
#include "relay/delivery/attempt.h"
#include "relay/net/clock.h"
#include "relay/spool/message.h"

namespace relay::delivery {

/// The end of an attempt for recipients of one domain of the spool that go nowhere, or that were
/// accepted before staging and so would leave by mistake; nullopt: the attempt is made, perhaps as
/// a dry run. staging null: the relay is productive now; what was accepted before still never
/// leaves.
[[nodiscard]] std::optional<Finished> staged_end(const spool::Envelope& envelope,
                                                 const conf::Staging* staging, net::WallTime now);

/// A failure becomes a deferral.
void soften(Finished& finished);

/// Recipients by what staging did with them; readable from any thread.
class StagedCounts {
 public:
  void count(Staged staged) { ++counts_.at(static_cast<std::size_t>(staged)); }
  [[nodiscard]] std::uint64_t of(Staged staged) const {
    return counts_.at(static_cast<std::size_t>(staged));
  }

 private:
  std::array<std::atomic<std::uint64_t>, kStagedKinds> counts_{};
};

}  // namespace relay::delivery
