// Parts of check_findings that its files share. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relay/cli/check_findings.h"

namespace relay::cli {

using Severity = CheckFinding::Severity;
using Findings = std::vector<CheckFinding>;

/// With the remedy for advice, or for the code where advice is empty.
void add(Findings& findings, Severity severity, std::string code, std::string where,
         std::string text, std::string_view advice = {});
/// How much a fault weighs that only a policy makes one.
[[nodiscard]] Severity under_policy(const Examination& examination);

/// The operator's rule.
void judge_rule(const Examination& examination, Findings& findings);
/// One MX host with its sessions.
void judge_host(const Examination& examination, const HostExamination& host, Findings& findings);

}  // namespace relay::cli
