#include "relay/cli/report_collection.h"

#include <algorithm>

#include <fmt/format.h>

#include "relay/control/timestamp.h"

namespace relay::cli {
namespace {

void add_policy(const rpt::ReceivedPolicy& policy, ReporterSummary& into) {
  into.by_policy[policy.type].add({policy.successful_sessions, policy.failed_sessions});
  for (const rpt::ReceivedFailure& failure : policy.failures) {
    FailureGroup& group = into.failures[{failure.type, failure.receiving_mx_hostname}];
    group.sessions = rpt::plus(group.sessions, failure.sessions);
    if (!failure.reason_code.empty()) {
      std::uint64_t& count = group.reasons[failure.reason_code];
      count = rpt::plus(count, failure.sessions);
    }
  }
}

}  // namespace

void ReportCollection::add(FoundReport found) {
  auto reading = rpt::read_report(found.octets);
  if (!reading) {
    add_unreadable(
        {found.source, std::string(rpt::name(reading.error().fault)), reading.error().reason});
    return;
  }
  rpt::cross_check(*reading, found.metadata);
  const auto [place, is_new] =
      by_identity_.try_emplace(rpt::identity(reading->report), reports_.size());
  if (is_new) {
    std::string domain = rpt::report_domain(reading->report, found.metadata);
    std::string submitter = rpt::submitter(reading->report);
    reports_.push_back({std::move(found.source), std::move(reading->report),
                        std::move(reading->warnings), std::move(domain), std::move(submitter),
                        std::move(found.carrier)});
    return;
  }
  CollectedReport& first = reports_[place->second];
  if (rpt::normalized_json(first.report) != rpt::normalized_json(reading->report)) {
    first.warnings.push_back(
        {rpt::WarningCode::conflicting_duplicate, "report-id",
         fmt::format("{} has the same id and says something else", found.source)});
  }
  duplicates_.push_back({std::move(found.source), first.source});
}

std::set<std::string> ReportCollection::key_names() const {
  std::set<std::string> names;
  for (const CollectedReport& report : reports_) {
    add_key_names(report.carrier, names);
  }
  return names;
}

void ReportCollection::verify(const TextAnswers& keys) {
  for (CollectedReport& report : reports_) {
    report.dkim = judge(report.carrier, report.submitter, keys);
  }
}

std::size_t ReportCollection::doubtful() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      reports_, [](const CollectedReport& report) { return is_doubtful(report.dkim.verdict); }));
}

std::size_t ReportCollection::warnings() const {
  std::size_t count = 0;
  for (const CollectedReport& report : reports_) {
    count += report.warnings.size();
  }
  return count;
}

void DayRange::add(std::chrono::sys_days day) {
  first = first ? std::min(*first, day) : day;
  last = last ? std::max(*last, day) : day;
}

void DayRange::add(const DayRange& other) {
  if (other.first && other.last) {
    add(*other.first);
    add(*other.last);
  }
}

std::optional<std::chrono::sys_days> day_of(const rpt::ReceivedReport& report) {
  const auto& time = report.start.at ? report.start.at : report.end.at;
  return time ? std::optional(std::chrono::floor<std::chrono::days>(*time)) : std::nullopt;
}

std::map<std::string, DomainSummary> summarize(const ReportCollection& collection) {
  std::map<std::string, DomainSummary> domains;
  for (const CollectedReport& collected : collection.reports()) {
    DomainSummary& domain = domains[collected.domain];
    ReporterSummary& reporter = domain.reporters[collected.submitter];
    if (reporter.name.empty()) {
      reporter.name = collected.report.organization;
    }
    SessionCounts counts;
    for (const rpt::ReceivedPolicy& policy : collected.report.policies) {
      add_policy(policy, reporter);
      counts.add({policy.successful_sessions, policy.failed_sessions});
    }
    if (const auto day = day_of(collected.report)) {
      reporter.days[*day].add(counts);
      reporter.range.add(*day);
    }
    if (collected.dkim.verdict != CarrierVerdict::not_checked) {
      ++reporter.dkim[collected.dkim.text()];
    }
    ++reporter.reports;
    reporter.counts.add(counts);
    ++domain.reports;
    domain.counts.add(counts);
    domain.range.add(reporter.range);
  }
  return domains;
}

std::string share_ok(const SessionCounts& counts) {
  if (counts.total() == 0) {
    return "-";
  }
  if (counts.failed == 0) {
    return "100 %";
  }
  const double share = static_cast<double>(counts.successful) / static_cast<double>(counts.total());
  const auto hundredths = std::min(static_cast<unsigned>(share * 10000), 9999U);
  return fmt::format("{}.{:02} %", hundredths / 100, hundredths % 100);
}

std::string days_text(const DayRange& range) {
  if (!range.first || !range.last) {
    return "day unknown";
  }
  const std::string first = control::day_text(*range.first);
  return range.first == range.last ? first
                                   : fmt::format("{} to {}", first, control::day_text(*range.last));
}

}  // namespace relay::cli
