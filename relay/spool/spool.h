// The queue on disk: SQLite, WAL, synchronous=FULL, one writer thread with group commit.
// A callback that reports success is called after the commit that holds its data reached the disk.
// Threading: every method may be called from any thread; callbacks are posted to the loop given.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relay/net/clock.h"
#include "relay/net/duration_counts.h"
#include "relay/net/event_loop.h"
#include "relay/net/expected.h"
#include "relay/spool/client_hold.h"
#include "relay/spool/message.h"
#include "relay/spool/message_change.h"
#include "relay/spool/occupancy.h"
#include "relay/spool/policy_override.h"
#include "relay/spool/policy_trouble.h"
#include "relay/spool/report.h"
#include "relay/spool/report_counts.h"
#include "relay/spool/store_fault.h"
#include "rpt/result.h"
#include "sts/policy_cache.h"

namespace relay::spool {

/// What happened to one recipient in one delivery attempt.
struct RecipientUpdate {
  enum class Outcome { delivered, failed, deferred };
  std::uint32_t index;
  Outcome outcome;
  net::WallTime next_try{};  ///< deferred only
  std::string result;        ///< reply or sentence, kept as last_result
};

/// All that follows from one delivery attempt of one recipient group; applied atomically. Notices
/// are left out if none of the recipients is there any more.
struct Settlement {
  MessageId id{0};
  std::vector<RecipientUpdate> updates;
  std::vector<Notice> notices;
  std::vector<rpt::SessionResult> sessions;
  /// For a mail that carries a report.
  std::optional<ReportMailOutcome> report{};
  net::WallTime at{};  ///< the end of the attempt
  /// That the message is delayed: stored only if none was before; the message is marked with it.
  std::optional<Notice> delay_notice{};
};

/// A message being received. Slices are durable rows that nothing refers to until commit();
/// destroying it before commit() removes them. Memory: only slices not yet written.
/// Threading: belongs to the thread of the loop it was made for.
class IncomingMessage {
 public:
  IncomingMessage() = default;
  IncomingMessage(const IncomingMessage&) = delete;
  IncomingMessage& operator=(const IncomingMessage&) = delete;
  virtual ~IncomingMessage() = default;
  [[nodiscard]] virtual MessageId id() const = 0;
  /// Appends content (≤ 64 KiB per call). Octets on their way to the disk: unwritten(). Up to
  /// 64 KiB wait, uncounted, for more: a small message is stored in one transaction.
  virtual void append(std::string slice) = 0;
  [[nodiscard]] virtual std::size_t unwritten() const = 0;
  /// Called on the loop when unwritten() fell to zero, or when writing failed (the commit will
  /// then report the fault).
  virtual void set_drained(std::function<void()> drained) = 0;
  /// Ends the message. done runs when message, recipients and slices are on disk, or not at all
  /// on disk. envelope.id must be id(). At most once. If the object is destroyed before done ran,
  /// done never runs, but the message may still be stored and will then be delivered.
  virtual void commit(Envelope envelope, std::function<void(Stored<void>)> done) = 0;
};

struct SpoolOptions {
  std::string directory;
  std::uint64_t min_free_bytes = 64ULL << 20;  ///< below it, nothing new is accepted
  std::string vfs;              ///< a registered SQLite VFS, for tests; empty: the system's
  int checkpoint_pages = 2000;  ///< so many wait in the log before they move to the main file
};

/// What goes with a change of a stored policy.
struct PolicyWrite {
  net::WallTime at{};              ///< when the older one was replaced
  std::string why;                 ///< for the history: "new id", "expired" …
  int history = 5;                 ///< replaced policies to keep of the domain
  net::EventLoop* loop = nullptr;  ///< where done is called; null: nobody wants to know
  std::function<void(Stored<void>)> done{};
};

/// A policy that was replaced, as its history remembers it.
struct ReplacedPolicy {
  std::string id;
  sts::Mode mode = sts::Mode::none;
  std::chrono::seconds max_age{0};
  std::string body;
  net::WallTime fetched_at{}, replaced_at{};
  std::string why;
};

/// One pending group of recipients, as the dispatcher keeps it.
struct PendingGroup {
  MessageId id{0};
  std::string domain;
  net::WallTime next_try{};
  Priority priority = Priority::normal;
  std::string owner{};     ///< as owner_of() says
  std::string sender{};    ///< reverse-path of the message; empty: a bounce
  std::string listener{};  ///< as in its envelope
};

class Spool {
 public:
  /// Opens or creates the spool, takes its lock, recovers, removes slices of messages that never
  /// got their 250. The error is a sentence that names the directory and the remedy, e.g. when
  /// another daemon holds the lock.
  static Expected<std::unique_ptr<Spool>, std::string> open(const SpoolOptions& options,
                                                            const net::Clock& clock);
  /// Commits what was handed over, then closes.
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// Sentences for the log about what endangers mail here: tmpfs, no write barriers, mode 0755 …
  [[nodiscard]] std::vector<std::string> warnings() const;

  /// Called on the spool thread after the commit of each new message (accepted ones and notices),
  /// before its done callback is posted. Set before the first message.
  void set_stored_observer(std::function<void(std::shared_ptr<const Envelope>)> observer);

  [[nodiscard]] MessageId new_id();
  std::unique_ptr<IncomingMessage> receive(net::EventLoop& loop);
  /// Whether the file system has room for a message of this size now (cheap: cached for a second).
  [[nodiscard]] bool has_room_for(std::uint64_t octets) const;
  /// After an I/O error the store is failed for good: nothing is accepted until a restart.
  [[nodiscard]] bool failed() const;

  void settle(Settlement settlement, net::EventLoop& loop, std::function<void(Stored<void>)> done);
  /// Counts sessions that belong to no delivery settlement.
  void count(std::vector<rpt::SessionResult> sessions);
  /// Changes messages in one transaction. Answer: recipients changed, by change; 0: there is no
  /// such message, or nothing to change.
  void change(std::vector<MessageChange> changes, net::EventLoop& loop,
              std::function<void(Stored<std::vector<std::size_t>>)> done);
  /// What the queue holds, and of it what is this owner's; as of the last commit.
  [[nodiscard]] Occupancy::Totals occupancy(const std::string& owner) const;
  /// Stores a pause, or its new reason.
  void save_pause(Pause pause, net::EventLoop& loop, std::function<void(Stored<void>)> done);
  /// Answer: how many there were, 0 or 1.
  void remove_pause(Pause::Kind kind, std::string name, net::EventLoop& loop,
                    std::function<void(Stored<std::size_t>)> done);
  /// Stores (replaces) a client's hold. done may be empty, as the next one's.
  void save_client_hold(ClientHold hold, net::EventLoop& loop,
                        std::function<void(Stored<void>)> done);
  /// Answer: how many there were, 0 or 1.
  void remove_client_hold(std::string name, net::EventLoop& loop,
                          std::function<void(Stored<std::size_t>)> done);
  /// Stores (replaces) or forgets a domain's cached policy, in one transaction with the history
  /// entry of a different one that it takes the place of. Its troubles are forgotten.
  void save_policy(sts::CachedPolicy policy, PolicyWrite write = {});
  void forget_policy(std::string domain, PolicyWrite write = {});
  /// Stores (replaces) a domain's troubles; empty ones are removed.
  void save_trouble(PolicyTrouble trouble, net::WallTime at);
  /// Removes some of what is too old: policies that expired 30 days ago (a clock that was wrongly
  /// ahead must not cost them at once), troubles as old, and history of 180 days. Answer: how many
  /// rows; 0: no more.
  void purge_policies(net::WallTime now, net::EventLoop& loop,
                      std::function<void(Stored<std::size_t>)> done);

  /// Stores (replaces) a domain's override. done may be empty.
  void save_override(PolicyOverride rule, net::EventLoop& loop,
                     std::function<void(Stored<void>)> done);
  /// Answer: how many there were, 0 or 1. done may be empty.
  void remove_override(std::string domain, net::EventLoop& loop,
                       std::function<void(Stored<std::size_t>)> done);

  /// Stores all of it or nothing. done may be empty.
  void write_report(ReportWrite write, net::EventLoop& loop,
                    std::function<void(Stored<void>)> done);

  struct Statistics {
    std::uint64_t commits = 0, requests = 0, messages_stored = 0, settlements = 0;
    net::DurationTotals commit_times{net::kDiskDurations};  ///< how long each commit took
    ReportTotals reports;
  };
  [[nodiscard]] Statistics statistics() const;

 private:
  struct State;
  explicit Spool(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace relay::spool
