// What makes a report smaller and leaves its counts right: redaction and folding.
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

#include "rpt/report.h"
#include "rpt/report_json.h"
#include "rpt/text.h"

namespace rpt {
namespace {

constexpr std::size_t kResultTypeCount = 11;
// More than the JSON of one row that stands for folded ones, and of an element without strings,
// details and domain.
constexpr std::size_t kFoldedRow = 160;
constexpr std::size_t kBareElement = 256;

std::size_t most_details(const Report& report) {
  std::size_t most = 0;
  for (const PolicySummary& summary : report.policies) {
    most = std::max(most, summary.failures.size());
  }
  return most;
}

// The largest number of details per policy with which the report, now of size octets, is at most
// max_size octets long; 0 if there is none.
std::size_t fitting_details(const Report& report, std::size_t size, std::size_t max_size) {
  const std::size_t most = most_details(report);
  // What goes, and what comes instead, when rows from the i-th on are folded.
  std::vector<std::size_t> gone(most + 1);
  std::vector<std::size_t> come(most + 1);
  for (const PolicySummary& summary : report.policies) {
    std::size_t tail = 0;
    for (std::size_t i = summary.failures.size(); i-- > 0;) {
      tail += to_json(summary.failures[i]).size() + 1;
      gone[i] += tail;
      come[i] += kResultTypeCount * kFoldedRow;
    }
  }
  for (std::size_t keep = most; keep > 0; --keep) {
    if (size + come[keep] <= max_size + gone[keep]) {
      return keep;
    }
  }
  return 0;
}

bool kept_before(const PolicySummary& a, const PolicySummary& b) {
  const auto rank = [](const PolicyDescription& policy) {
    return std::tie(policy.type, policy.domain, policy.strings, policy.mx_hosts);
  };
  return rank(a.policy) < rank(b.policy);
}

std::uint64_t sessions(const PolicySummary& summary) {
  return summary.successful_sessions + summary.failed_sessions;
}

// Adds the counts of one element to the element of its type that has neither strings nor hosts.
void fold_policy(std::map<PolicyDescription, PolicySummary>& elements, const std::string& domain,
                 const PolicySummary& folded) {
  const PolicyDescription bare{folded.policy.type, {}, domain, {}};
  PolicySummary& sum = elements[bare];
  sum.policy = bare;
  sum.successful_sessions += folded.successful_sessions;
  sum.failed_sessions += folded.failed_sessions;
  sum.failures.insert(sum.failures.end(), folded.failures.begin(), folded.failures.end());
}

// Keeps the elements with the most sessions, as many as have room. They have no details but folded
// ones by now.
void fold_policies(Report& report, std::size_t max_size) {
  std::vector<PolicySummary> all = std::move(report.policies);
  report.policies.clear();
  std::stable_sort(all.begin(), all.end(), [](const PolicySummary& a, const PolicySummary& b) {
    return sessions(a) > sessions(b);
  });
  std::size_t size = to_json(report).size() +
                     3 * (kBareElement + report.domain.size() + kResultTypeCount * kFoldedRow);
  std::map<PolicyDescription, PolicySummary> elements;
  bool full = false;
  for (PolicySummary& summary : all) {
    size += to_json(summary).size() + 1;
    full = full || size > max_size;
    if (full) {
      fold_policy(elements, report.domain, summary);
    } else {
      elements[summary.policy] = std::move(summary);
    }
  }
  for (auto& [description, summary] : elements) {
    summary.failures = fold_details(summary.failures, 0);
    report.policies.push_back(std::move(summary));
  }
  std::sort(report.policies.begin(), report.policies.end(), kept_before);
}

// More than the JSON has: an octet becomes at most six, "\\u0001", and keys are shorter than that.
bool is_surely_below(const Report& report, std::size_t max_size) {
  constexpr std::size_t kKeys = 512;
  std::size_t parts = 1;
  std::size_t octets = report.organization.size() + report.contact.size() + report.id.size();
  const auto add = [&](const std::string& text) { octets += text.size() + 1; };
  for (const PolicySummary& summary : report.policies) {
    parts += 1 + summary.failures.size();
    add(summary.policy.domain);
    std::for_each(summary.policy.strings.begin(), summary.policy.strings.end(), add);
    std::for_each(summary.policy.mx_hosts.begin(), summary.policy.mx_hosts.end(), add);
    for (const CountedFailure& counted : summary.failures) {
      add(counted.failure.sending_mta_ip);
      add(counted.failure.receiving_mx_hostname);
      add(counted.failure.receiving_mx_helo);
      add(counted.failure.receiving_ip);
      add(counted.failure.reason_code);
    }
  }
  return parts * kKeys + octets * 6 <= max_size;
}

}  // namespace

void redact(Report& report, const Redaction& redaction) {
  if (!redaction.sending_mta_ip && !redaction.receiving_mx_helo && !redaction.reason_text) {
    return;
  }
  for (PolicySummary& summary : report.policies) {
    for (CountedFailure& counted : summary.failures) {
      FailureDetail& failure = counted.failure;
      if (redaction.reason_text && !folded_details(failure)) {
        failure.reason_code.clear();
      }
      if (redaction.sending_mta_ip) {
        failure.sending_mta_ip.clear();
      }
      if (redaction.receiving_mx_helo) {
        failure.receiving_mx_helo.clear();
      }
    }
    summary.failures = fold_details(summary.failures, summary.failures.size());
  }
}

void limit_size(Report& report, std::size_t max_size) {
  if (is_surely_below(report, max_size)) {
    return;
  }
  const std::size_t size = to_json(report).size();
  if (size <= max_size) {
    return;
  }
  const std::size_t keep = fitting_details(report, size, max_size);
  for (PolicySummary& summary : report.policies) {
    summary.failures = fold_details(summary.failures, keep);
  }
  if (keep == 0 && to_json(report).size() > max_size) {
    fold_policies(report, max_size);
  }
}

}  // namespace rpt
