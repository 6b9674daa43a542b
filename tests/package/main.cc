#include <iostream>

#include "plugin.h"
#include "rpt/report.h"

int main() {
  rpt::Tally tally;
  rpt::Tally other;
  rpt::PolicyDescription policy;
  policy.type = rpt::PolicyType::sts;
  policy.domain = "example.net";
  rpt::PolicyCounts counts;
  counts.successful_sessions = 3;
  other.add_counts({"example.net", policy}, counts);
  tally.merge(other);
  tally.merge(other);
  const bool counted = tally.counts().begin()->second.successful_sessions == 6;
  rpt::Report report;
  report.policies = rpt::summarize(tally, "example.net", 1);
  const bool rendered = rpt::gzip(rpt::to_json(report)).starts_with("\x1F\x8B");
  std::cout << (policy_is_obeyed() ? "the policy is obeyed" : "the policy is not obeyed") << ", "
            << (counted ? "the sessions are counted" : "the sessions are not counted") << ", "
            << (rendered ? "the report is made" : "the report is not made") << '\n';
}
