// TLS-RPT reports as the spool keeps them (RFC 8460): one per UTC day and policy domain, a further
// part for what was counted after that one was made, and one delivery for each of its destinations.
// Values.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/clock.h"
#include "relay/spool/message.h"
#include "rpt/submission.h"
#include "rpt/tally.h"

namespace relay::spool {

struct ReportKey {
  std::chrono::sys_days day{};
  std::string domain;
  int part = 1;
  // NOLINTNEXTLINE(modernize-use-nullptr): the zero is that of the generated comparison
  friend auto operator<=>(const ReportKey&, const ReportKey&) = default;
};

/// What is counted after so many parts of a day were made is in no report.
inline constexpr int kMostParts = 9;

/// "2026-08-20".
[[nodiscard]] std::string day_text(std::chrono::sys_days day);

enum class ReportState {
  planned,    ///< its destinations are looked up when it is due
  rendered,   ///< its octets are fixed; the deliveries say how far each one is
  withdrawn,  ///< nobody wants it, or the operator does not; note says why
  written,    ///< to the dry-run folder
};
/// "planned" …
[[nodiscard]] std::string_view name(ReportState state);

struct StoredReport {
  ReportKey key;
  ReportState state = ReportState::planned;
  net::WallTime due{};  ///< planned: not before
  std::string id;       ///< report-id; empty before it is rendered, as is all that follows
  std::string file_name;
  net::WallTime rendered_at{};
  std::string summary;  ///< for a person
  std::string content;  ///< gzip of the JSON
  std::string note;
  friend bool operator==(const StoredReport&, const StoredReport&) = default;
};

/// How far a report is on its way to one destination.
struct ReportDelivery {
  ReportKey key;
  std::string uri;  ///< with credentials, if it has any: nothing for logs
  rpt::Stage stage = rpt::Stage::rendered;
  int attempts = 0;
  net::WallTime first_attempt{};
  net::WallTime next_attempt{};        ///< while it is under way
  std::string result;                  ///< of the last attempt
  std::optional<MessageId> message{};  ///< the mail that carries it
  friend bool operator==(const ReportDelivery&, const ReportDelivery&) = default;
};

/// How long nothing is sent to a destination that refused a report, or could not be reached for as
/// long as is tried.
inline constexpr std::chrono::hours kReportSuppression{24 * 7};

/// Nothing is sent to a destination for a while.
struct ReportSuppression {
  std::string uri;
  net::WallTime until{};
  std::string why;
  friend bool operator==(const ReportSuppression&, const ReportSuppression&) = default;
};

/// Where a domain wanted its reports on a day that mail was sent to it.
struct SeenRecord {
  ReportKey key;                  ///< its part is of no meaning
  std::vector<std::string> uris;  ///< with credentials
};

/// A report not there yet, planned for a moment.
struct PlannedReport {
  ReportKey key;
  net::WallTime due{};
};

/// Makes what waits due at a time; domain "": of all domains.
struct HastenReports {
  std::string domain;
  net::WallTime at{};
};

/// Counts that a report says, or that nobody wants to know: no later part has them again.
struct ClosedCounts {
  std::chrono::sys_days day{};
  rpt::Tally tally;
};

/// What is stored of reports in one transaction.
struct ReportWrite {
  std::vector<SeenRecord> records;
  std::vector<PlannedReport> planned;      ///< those that are there already stay as they are
  std::vector<StoredReport> reports;       ///< new, or instead of the older state
  std::vector<ReportDelivery> deliveries;  ///< new, or instead of the older state
  std::vector<ClosedCounts> closed;
  std::vector<Notice> mails;  ///< into the queue
  std::vector<ReportSuppression> suppressions;
  std::vector<std::string> lifted;  ///< destinations that are suppressed no more
  std::optional<HastenReports> hasten;
  /// Counts, records and reports of earlier days go, a bounded number at once.
  std::optional<std::chrono::sys_days> forget_before;
  std::optional<net::WallTime> forget_suppressions;  ///< those that ended before
};

/// What became of a mail that carries a report; stage handed_over: it was deferred.
struct ReportMailOutcome {
  rpt::Stage stage = rpt::Stage::accepted;
  std::string result;
  std::optional<net::WallTime> suppress_until{};  ///< the destination gets nothing before
};

/// Which reports, by day and domain, after a given one, at most limit.
struct ReportQuery {
  std::optional<std::chrono::sys_days> day{};
  std::string domain{};  ///< empty: all
  std::optional<ReportKey> after{};
  std::size_t limit = 1000;
};

/// What is due of reports.
struct DueReports {
  std::vector<ReportKey> planned;
  std::vector<ReportDelivery> deliveries;
  std::optional<net::WallTime> next;  ///< when the first one of what is not yet due will be
};

}  // namespace relay::spool
