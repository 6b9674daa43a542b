#include "rpt/tally.h"

#include <algorithm>
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

struct Folded {
  std::uint64_t details = 0;
  std::uint64_t sessions = 0;
};

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

std::vector<CountedFailure> fold_details(const std::map<FailureDetail, std::uint64_t>& failures,
                                         std::size_t max_details) {
  std::vector<CountedFailure> shown;
  shown.reserve(failures.size());
  for (const auto& [failure, sessions] : failures) {
    shown.push_back({failure, sessions});
  }
  std::sort(shown.begin(), shown.end(), shown_before);
  if (shown.size() <= max_details) {
    return shown;
  }
  std::map<ResultType, Folded> rest;
  for (std::size_t i = max_details; i < shown.size(); ++i) {
    Folded& folded = rest[shown[i].failure.type];
    ++folded.details;
    folded.sessions += shown[i].sessions;
  }
  shown.erase(shown.begin() + static_cast<std::ptrdiff_t>(max_details), shown.end());
  const std::size_t first_folded = shown.size();
  for (const auto& [type, folded] : rest) {
    CountedFailure counted;
    counted.failure.type = type;
    counted.failure.reason_code = "folded:" + std::to_string(folded.details);
    counted.sessions = folded.sessions;
    shown.push_back(std::move(counted));
  }
  std::sort(shown.begin() + static_cast<std::ptrdiff_t>(first_folded), shown.end(), shown_before);
  return shown;
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
