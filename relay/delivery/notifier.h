// Tells senders what became of their mail: decides which notices follow from an attempt, makes them
// and puts them into its settlement. Belongs to one event loop; the counts may be read anywhere.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "relay/delivery/notice.h"
#include "relay/delivery/notice_limit.h"
#include "relay/delivery/settlement.h"
#include "relay/log.h"
#include "relay/net/clock.h"
#include "relay/spool/spool.h"
#include "relay/spool/spool_reader.h"

namespace relay::delivery {

/// References to settings that outlive the call.
struct NoticeRules {
  std::string hostname;
  const conf::Queue& queue;
  const conf::Notices& notices;
  std::string postmaster;  ///< who gets double bounces; may be empty
};

/// What NoticeCounts counted.
struct NoticeTotals {
  std::uint64_t failed = 0, delayed = 0, relayed = 0, double_bounces = 0;
  std::uint64_t dropped_unwanted = 0, dropped_null_sender = 0, dropped_too_many = 0;
};

/// Since the start. Recipients whose sender is not told are counted as dropped, notices else.
struct NoticeCounts {
  std::atomic<std::uint64_t> failed{0}, delayed{0}, relayed{0}, double_bounces{0};
  std::atomic<std::uint64_t> dropped_unwanted{0}, dropped_null_sender{0}, dropped_too_many{0};
  void add_to(NoticeTotals& totals) const;
};

/// The message or its first octets, as a notice returns it; what cannot be read is left out.
[[nodiscard]] std::string returned_content(spool::SpoolReader& reader, spool::MessageId id,
                                           std::uint64_t most);

class Notifier {
 public:
  /// References outlive it. limit null: its own.
  Notifier(const net::Clock& clock, spool::Spool& spool, spool::SpoolReader& reader, Log& log,
           std::shared_ptr<NoticeLimit> limit);

  /// Adds to the settlement the notices that its fates are worth. envelope: the recipients of the
  /// attempt.
  void add(const spool::Envelope& envelope, SettledAttempt& settled, const NoticeRules& rules);
  [[nodiscard]] const NoticeCounts& counts() const { return counts_; }

 private:
  struct Kind;
  void add_failed(const spool::Envelope& envelope, SettledAttempt& settled,
                  const NoticeRules& rules);
  void add_relayed(const spool::Envelope& envelope, SettledAttempt& settled,
                   const NoticeRules& rules);
  void add_delayed(const spool::Envelope& envelope, SettledAttempt& settled,
                   const NoticeRules& rules);
  /// Makes and logs one; nullopt: there were too many.
  std::optional<spool::Notice> make(const Kind& kind, const spool::Envelope& envelope,
                                    std::span<const Fate> fates, const NoticeRules& rules);
  void drop(const spool::Envelope& envelope, const Fate& fate, std::string_view reason);
  [[nodiscard]] std::string original(const spool::Envelope& envelope, std::uint64_t most);

  const net::Clock& clock_;
  spool::Spool& spool_;
  spool::SpoolReader& reader_;
  Log& log_;
  std::shared_ptr<NoticeLimit> limit_;
  NoticeCounts counts_;
};

}  // namespace relay::delivery
