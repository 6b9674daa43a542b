// Parts of a report's JSON, for counting its size before it is made. Pure.
#pragma once

#include <string>

#include "rpt/tally.h"

namespace rpt {

/// One element of "policies".
[[nodiscard]] std::string to_json(const PolicySummary& summary);
/// One element of "failure-details".
[[nodiscard]] std::string to_json(const CountedFailure& failure);

}  // namespace rpt
