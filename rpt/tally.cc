#include "rpt/tally.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>
#include <tuple>

#include "rpt/canonical.h"

namespace rpt {
namespace {

// Most frequent first; the fields that a reader looks at first decide among equals.
bool shown_before(const CountedFailure& a, const CountedFailure& b) {
  const auto rank = [](const FailureDetail& failure) {
    return std::make_tuple(wire_name(failure.type), std::cref(failure.receiving_mx_hostname),
                           std::cref(failure.receiving_ip), std::cref(failure.sending_mta_ip),
                           std::cref(failure.receiving_mx_helo), std::cref(failure.reason_code));
  };
  return a.sessions != b.sessions ? a.sessions > b.sessions : rank(a.failure) < rank(b.failure);
}

bool described_before(const PolicySummary& a, const PolicySummary& b) {
  const auto rank = [](const PolicyDescription& policy) {
    return std::tie(policy.type, policy.domain, policy.strings, policy.mx_hosts);
  };
  return rank(a.policy) < rank(b.policy);
}

constexpr std::string_view kFolded = "folded:";

struct Folded {
  std::uint64_t details = 0;
  std::uint64_t sessions = 0;
};

std::vector<CountedFailure> counted(const std::map<FailureDetail, std::uint64_t>& failures) {
  std::vector<CountedFailure> rows;
  rows.reserve(failures.size());
  for (const auto& [failure, sessions] : failures) {
    rows.push_back({failure, sessions});
  }
  return rows;
}

}  // namespace

void Tally::add(const SessionResult& session) {
  const std::string domain = canonical_name(session.report_domain);
  for (const PolicyResult& result : session.policies) {
    PolicyCounts& counts = counts_[{domain, canonical(result.policy)}];
    ++(result.failures.empty() ? counts.successful_sessions : counts.failed_sessions);
    for (const FailureDetail& failure : result.failures) {
      ++counts.failures[canonical(failure)];
    }
  }
}

void Tally::merge(const Tally& other) {
  for (const auto& [key, counts] : other.counts_) {
    add_counts(key, counts);
  }
}

void Tally::add_counts(const Key& key, const PolicyCounts& counts) {
  PolicyCounts& sum = counts_[key];
  sum.successful_sessions += counts.successful_sessions;
  sum.failed_sessions += counts.failed_sessions;
  for (const auto& [failure, count] : counts.failures) {
    sum.failures[failure] += count;
  }
}

std::chrono::sys_days report_day(const SessionResult& session) {
  return std::chrono::floor<std::chrono::days>(session.ended_at);
}

FailureDetail folded_detail(ResultType type, std::uint64_t details) {
  FailureDetail row;
  row.type = type;
  row.reason_code = std::string(kFolded) + std::to_string(details);
  return row;
}

std::optional<std::uint64_t> folded_details(const FailureDetail& failure) {
  const std::string_view reason = failure.reason_code;
  if (!reason.starts_with(kFolded)) {
    return std::nullopt;
  }
  std::uint64_t details = 0;
  const char* const end = reason.data() + reason.size();
  const auto [rest, error] = std::from_chars(reason.data() + kFolded.size(), end, details);
  const bool number = error == std::errc() && rest == end;
  return number && failure == folded_detail(failure.type, details) ? std::optional(details)
                                                                   : std::nullopt;
}

std::vector<CountedFailure> fold_details(const std::vector<CountedFailure>& rows,
                                         std::size_t max_details) {
  std::map<ResultType, Folded> rest;
  const auto fold = [&rest](const CountedFailure& row, std::uint64_t details) {
    Folded& folded = rest[row.failure.type];
    folded.details += details;
    folded.sessions += row.sessions;
  };
  std::map<FailureDetail, std::uint64_t> kinds;
  for (const CountedFailure& row : rows) {
    if (const auto details = folded_details(row.failure)) {
      fold(row, *details);
    } else {
      kinds[row.failure] += row.sessions;
    }
  }
  std::vector<CountedFailure> shown = counted(kinds);
  std::sort(shown.begin(), shown.end(), shown_before);
  for (std::size_t i = max_details; i < shown.size(); ++i) {
    fold(shown[i], 1);
  }
  shown.resize(std::min(shown.size(), max_details));
  const auto first_folded = static_cast<std::ptrdiff_t>(shown.size());
  for (const auto& [type, folded] : rest) {
    shown.push_back({folded_detail(type, folded.details), folded.sessions});
  }
  std::sort(shown.begin() + first_folded, shown.end(), shown_before);
  return shown;
}

std::vector<CountedFailure> fold_details(const std::map<FailureDetail, std::uint64_t>& failures,
                                         std::size_t max_details) {
  return fold_details(counted(failures), max_details);
}

std::vector<PolicySummary> summarize(const Tally& tally, const std::string& report_domain,
                                     std::size_t max_details) {
  static const PolicyDescription first{PolicyType::tlsa, {}, {}, {}};
  std::vector<PolicySummary> summaries;
  auto at = tally.counts().lower_bound({report_domain, first});
  for (; at != tally.counts().end() && at->first.first == report_domain; ++at) {
    const PolicyCounts& counts = at->second;
    summaries.push_back({at->first.second, counts.successful_sessions, counts.failed_sessions,
                         fold_details(counts.failures, max_details)});
  }
  std::sort(summaries.begin(), summaries.end(), described_before);
  return summaries;
}

}  // namespace rpt
