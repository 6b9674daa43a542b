// From the end of an attempt to what the spool must record: who is done, who is tried again and
// when, who has failed for good and is told of. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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
  /// When the sender is told of the delay, from start_of_life() on; 0: never. A wait across that
  /// moment ends there.
  std::chrono::milliseconds warn_after{0};

  /// Those of a recipient domain. queue outlives them.
  static RetryRules of(const conf::Queue& queue, const spool::Envelope& envelope,
                       const std::string& domain, double jitter);
};

/// What lifetimes and the delay notice count from: arrival, later by the time it was held, or the
/// requeue.
[[nodiscard]] net::WallTime start_of_life(const spool::Envelope& envelope);

/// When the recipients of a domain have had their time: what the domain's lifetime says, if it has
/// one, counted from start_of_life(); or else envelope.expires_at. Reports have their own.
[[nodiscard]] net::WallTime end_of_life(const conf::Queue& queue, const spool::Envelope& envelope,
                                        const std::string& domain);

/// One recipient's fate, for log and notice.
struct Fate {
  enum class Kind { delivered, deferred, failed, expired } kind = Kind::deferred;
  const spool::Recipient* recipient = nullptr;
  const RecipientOutcome* outcome = nullptr;
  std::optional<net::WallTime> next_try;  ///< deferred only
  net::WallTime expires{};                ///< of a deferred or expired one: the end of its life
  /// The end of its last attempt, if that was not this one; the epoch: there was none.
  std::optional<net::WallTime> last_try{};
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

/// Who is told that a recipient failed or expired (RFC 3461 §5.2, RFC 5321 §6.1).
enum class FailureReader {
  not_failed,
  sender,
  unwanted,    ///< NOTIFY says no, or it is a report of ours
  postmaster,  ///< there is no sender: a bounce, also our own
  nobody,      ///< nor a postmaster, or it went to the postmaster itself
};
/// postmaster: who gets double bounces; may be empty.
[[nodiscard]] FailureReader failure_reader(const spool::Envelope& envelope, const Fate& fate,
                                           std::string_view postmaster);

/// Whether the sender asked to be told (NOTIFY=SUCCESS) and the next hop will not do it (RFC 3461
/// §5.2.2). Mail that went nowhere, by staging, was not passed on.
[[nodiscard]] bool wants_relayed_notice(const spool::Envelope& envelope, const Fate& fate);

/// Whether the sender is to be told now that the recipient is still waited for: DELAY is in NOTIFY,
/// or there is none (RFC 3461 §4.1); and nobody said so before.
[[nodiscard]] bool wants_delay_notice(const spool::Envelope& envelope, const Fate& fate,
                                      std::chrono::milliseconds warn_after, net::WallTime now);

}  // namespace relay::delivery
