// From the end of an attempt to what the spool must record: who is done, who is tried again and
// when, who has failed for good and is told of. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conf/config.h"
#include "relay/delivery/attempt.h"
#include "relay/net/clock.h"
#include "relay/spool/spool.h"

namespace relay::delivery {

struct RetryRules {
  std::span<const std::chrono::milliseconds> waits;
  net::WallTime expires{};  ///< the end of the recipients' life
  double jitter = 0;        ///< this attempt's share of the wait, already drawn

  /// Those of a recipient domain. queue outlives them.
  static RetryRules of(const conf::Queue& queue, const spool::Envelope& envelope,
                       const std::string& domain, double jitter);
};

/// When the recipients of a domain have had their time: what the domain's lifetime says, if it has
/// one, counted from envelope.life_from; or else envelope.expires_at. Reports have their own.
[[nodiscard]] net::WallTime end_of_life(const conf::Queue& queue, const spool::Envelope& envelope,
                                        const std::string& domain);

/// One recipient's fate, for log and notice.
struct Fate {
  enum class Kind { delivered, deferred, failed, expired } kind = Kind::deferred;
  const spool::Recipient* recipient = nullptr;
  const RecipientOutcome* outcome = nullptr;
  std::optional<net::WallTime> next_try;  ///< deferred only
};
[[nodiscard]] std::string_view name(Fate::Kind kind);

struct SettledAttempt {
  spool::Settlement settlement;  ///< notices still to be added
  std::vector<Fate> fates;       ///< points into the envelope and the outcomes given
};

[[nodiscard]] SettledAttempt settle(const spool::Envelope& envelope, const Finished& finished,
                                    const RetryRules& retry, net::WallTime now);

/// An end before any host was tried, as every recipient's outcome.
[[nodiscard]] Finished end_for_all(const spool::Envelope& envelope, const Undeliverable& end);

/// When the first deferred recipient is tried again; nullopt: none is.
[[nodiscard]] std::optional<net::WallTime> earliest_retry(const std::vector<Fate>& fates);

/// Whether the sender is to be told of this fate (RFC 3461 §5.2, RFC 5321 §6.1): failed or expired,
/// a sender there, not our own notice or report, and NOTIFY asks for it or is absent.
[[nodiscard]] bool wants_notice(const spool::Envelope& envelope, const Fate& fate);

}  // namespace relay::delivery
