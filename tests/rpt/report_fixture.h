// Reports to render.
#pragma once

#include <string>
#include <vector>

#include "rpt/report.h"

namespace fixture {

inline const std::chrono::sys_days kDay{std::chrono::year{2026} / 8 / 20};
inline const rpt::PolicyDescription kSts{
    rpt::PolicyType::sts,
    {"version: STSv1", "mode: enforce", "mx: *.rcpt.example", "max_age: 604800"},
    "rcpt.example",
    {"*.rcpt.example"}};

inline rpt::CountedFailure failure(rpt::ResultType type, std::uint64_t sessions,
                                   const std::string& ip = "203.0.113.10") {
  return {{type, "192.0.2.1", "mx1.rcpt.example", "mx1.rcpt.example", ip, "reason-1"}, sessions};
}

inline rpt::Report report(std::vector<rpt::PolicySummary> policies = {}) {
  return {"Sender Org", "tls-reports@sender.example", "id@sender.example", "rcpt.example",
          kDay,         std::move(policies)};
}

}  // namespace fixture
