// The received reports of one call, each counted once, and what they add up to per domain,
// reporter, policy type, failure and day. Values; no I/O.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "relay/cli/report_input.h"
#include "rpt/report_reader.h"

namespace relay::cli {

struct CollectedReport {
  std::string source;
  rpt::ReceivedReport report;
  std::vector<rpt::ReportWarning> warnings;
  std::string domain;     ///< rpt::report_domain()
  std::string submitter;  ///< rpt::submitter()
  ReportCarrier carrier{};
  CarrierDkim dkim{};
};

/// A copy of a report that was counted already.
struct DuplicateReport {
  std::string source;
  std::string of;  ///< the source of the one that counts
};

class ReportCollection {
 public:
  void add(FoundReport found);
  void add_unreadable(UnreadableInput input) { unreadable_.push_back(std::move(input)); }
  void add_other() { ++others_; }
  /// Where the keys of the reports' mails are.
  [[nodiscard]] std::set<std::string> key_names() const;
  /// keys: answers for key_names().
  void verify(const TextAnswers& keys);

  [[nodiscard]] const std::vector<CollectedReport>& reports() const { return reports_; }
  [[nodiscard]] const std::vector<UnreadableInput>& unreadable() const { return unreadable_; }
  [[nodiscard]] const std::vector<DuplicateReport>& duplicates() const { return duplicates_; }
  [[nodiscard]] std::size_t others() const { return others_; }
  [[nodiscard]] std::size_t warnings() const;
  /// Reports of doubtful origin, if that was verified.
  [[nodiscard]] std::size_t doubtful() const;

 private:
  std::vector<CollectedReport> reports_;
  std::map<std::string, std::size_t> by_identity_;
  std::vector<UnreadableInput> unreadable_;
  std::vector<DuplicateReport> duplicates_;
  std::size_t others_ = 0;
};

struct SessionCounts {
  std::uint64_t successful = 0;
  std::uint64_t failed = 0;

  [[nodiscard]] std::uint64_t total() const { return rpt::plus(successful, failed); }
  void add(const SessionCounts& other) {
    successful = rpt::plus(successful, other.successful);
    failed = rpt::plus(failed, other.failed);
  }
};

/// Days that reports are about; a report counts on the day its range begins.
struct DayRange {
  std::optional<std::chrono::sys_days> first;
  std::optional<std::chrono::sys_days> last;

  void add(std::chrono::sys_days day);
  void add(const DayRange& other);
};

/// Failures of one type at one MX host.
struct FailureGroup {
  std::uint64_t sessions = 0;
  std::map<std::string, std::uint64_t> reasons;
};

struct ReporterSummary {
  std::string name;  ///< of the organization
  std::size_t reports = 0;
  DayRange range;
  SessionCounts counts;
  std::map<std::string, SessionCounts> by_policy;                        ///< by policy type
  std::map<std::pair<std::string, std::string>, FailureGroup> failures;  ///< by type and MX host
  std::map<std::chrono::sys_days, SessionCounts> days;
  std::map<std::string, std::size_t> dkim;  ///< reports by CarrierDkim::text(); empty: not checked
};

struct DomainSummary {
  std::size_t reports = 0;
  DayRange range;
  SessionCounts counts;
  std::map<std::string, ReporterSummary> reporters;  ///< by submitter
};

/// By domain. A session that two policies were evaluated for is counted under each of them.
[[nodiscard]] std::map<std::string, DomainSummary> summarize(const ReportCollection& collection);

/// "98.53 %": cut, so that only no failure at all is "100 %"; "-" without sessions.
[[nodiscard]] std::string share_ok(const SessionCounts& counts);
/// "2026-08-20", "2026-08-18 to 2026-08-20"; "day unknown".
[[nodiscard]] std::string days_text(const DayRange& range);
[[nodiscard]] std::optional<std::chrono::sys_days> day_of(const rpt::ReceivedReport& report);

}  // namespace relay::cli
