// How `stsrelay check` shows what it found: for a person, or as JSON with stable keys. Pure.
#pragma once

#include <string>
#include <vector>

#include "relay/cli/check_examination.h"
#include "relay/cli/check_findings.h"
#include "relay/cli/output.h"

namespace relay::cli {

struct CheckReport {
  Examination examination;
  CheckOutcome outcome;
  std::vector<CheckFinding> findings;
  std::vector<rpt::SessionResult> results;
};
[[nodiscard]] CheckReport report_on(Examination examination);

enum class Colour { none, ansi };
[[nodiscard]] std::string to_text(const CheckReport& report, Colour colour);
/// Every key is always there; what is not known is null, "" or an empty list.
[[nodiscard]] Json to_json(const CheckReport& report);

/// "secure", "insecure", "route"
[[nodiscard]] std::string_view name(delivery::MxOrigin origin);
/// "absent", "usable", "unusable", "lookup-failed"
[[nodiscard]] std::string_view name(delivery::HostDane::State state);
/// "not-asked", "matched", "no-match", "chain-faults"
[[nodiscard]] std::string_view name(net::DaneMatch match);

}  // namespace relay::cli
