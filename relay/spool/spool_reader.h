// Read-only view of the spool over its own connection; one per thread that reads. Sees every commit
// that ended before the call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/expected.h"
#include "relay/spool/message.h"
#include "relay/spool/report.h"
#include "relay/spool/spool.h"
#include "rpt/tally.h"
#include "sts/policy_cache.h"

namespace relay::spool {

/// The groups of a message that are to be tried some time: none if it is held.
[[nodiscard]] std::vector<PendingGroup> pending_groups(const Envelope& envelope);

class SpoolReader {
 public:
  static Expected<std::unique_ptr<SpoolReader>, std::string> open(const std::string& directory);
  ~SpoolReader();
  SpoolReader(const SpoolReader&) = delete;
  SpoolReader& operator=(const SpoolReader&) = delete;

  /// The envelope with the recipients still pending; domain: only those of it (empty: all).
  Stored<std::optional<Envelope>> envelope(MessageId id, const std::string& domain);
  /// Content slice n (0…); nullopt past the last one. A slice that does not match its checksum, or
  /// is missing because the message was removed meanwhile, is an io_error that names the message.
  Stored<std::optional<std::string>> slice(MessageId id, std::uint32_t n);
  /// Every pending (message, domain) group of messages that are not held.
  Stored<void> each_pending(const std::function<void(PendingGroup)>& visit);
  /// Every recipient that waits, with its message's sender and arrival.
  struct Waiting {
    std::string_view domain, sender;
    net::WallTime received_at{};
  };
  Stored<void> each_waiting(const std::function<void(const Waiting&)>& visit);
  /// Envelopes ordered by id, after a given id, at most limit.
  Stored<std::vector<Envelope>> list(std::optional<MessageId> after, std::size_t limit);
  struct Totals {
    std::uint64_t messages = 0, recipients = 0, octets = 0;
    std::optional<net::WallTime> oldest;
    std::uint64_t held = 0;  ///< messages
  };
  Stored<Totals> totals();
  /// Every stored policy, expired ones too; a damaged one is handed on by its domain.
  using StoredPolicy = Expected<std::shared_ptr<const sts::CachedPolicy>, std::string>;
  Stored<void> each_policy(const std::function<void(StoredPolicy)>& visit);
  /// Every stored trouble with a policy.
  Stored<void> each_trouble(const std::function<void(PolicyTrouble)>& visit);
  /// Sound ones in the order of their domains, after a given one, at most limit.
  Stored<std::vector<std::shared_ptr<const sts::CachedPolicy>>> policies(const std::string& after,
                                                                         std::size_t limit);
  /// Null: none.
  Stored<std::shared_ptr<const sts::CachedPolicy>> policy(const std::string& domain);
  /// What a domain's policies replaced, the latest first.
  Stored<std::vector<ReplacedPolicy>> policy_history(const std::string& domain);
  Stored<std::vector<PolicyOverride>> overrides();
  /// Destinations that rest.
  Stored<std::vector<Pause>> pauses();
  /// Clients whose mail is held.
  Stored<std::vector<ClientHold>> client_holds();
  /// The counts of a UTC day.
  Stored<rpt::Tally> tally(std::chrono::sys_days day);
  /// The same for one report domain.
  Stored<rpt::Tally> tally(std::chrono::sys_days day, const std::string& domain);
  /// What of it is in no report yet.
  Stored<rpt::Tally> unreported_tally(std::chrono::sys_days day, const std::string& domain);
  /// Reports without their contents.
  Stored<std::vector<StoredReport>> reports(const ReportQuery& query);
  Stored<std::optional<StoredReport>> report(const ReportKey& key);
  Stored<std::vector<ReportDelivery>> report_deliveries(const ReportKey& key);
  /// The first so many of each kind.
  Stored<DueReports> due_reports(net::WallTime now, std::size_t limit);
  /// The reports to be planned next, by day and domain: those that come after the given one (of
  /// a day with an empty domain: all of it) and before end, of which something was counted that is
  /// in no report, unless one is planned already.
  Stored<std::vector<ReportKey>> unplanned_reports(const ReportKey& after,
                                                   std::chrono::sys_days end, std::size_t limit);
  /// Where a domain wanted its reports on a day.
  Stored<std::vector<std::string>> report_record(const ReportKey& key);
  /// Destinations that a mail in the queue is for, once for each.
  Stored<std::vector<std::string>> queued_reports();
  Stored<std::vector<ReportSuppression>> report_suppressions();
  /// The first day of which counts or reports are kept.
  Stored<std::optional<std::chrono::sys_days>> first_report_day();

 private:
  struct State;
  explicit SpoolReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace relay::spool
