// What is done to a report's text before a JSON parser sees it, and the parse itself. Private to
// rpt; pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "rpt/expected.h"
#include "rpt/report_reader.h"

namespace rpt {

/// Octets that are no UTF-8 as U+FFFD; nullopt if there are none.
[[nodiscard]] std::optional<std::string> repair_utf8(std::string_view text);

/// text: without BOM. What follows the value is passed over with a warning, as is each key that
/// comes twice in one object (RFC 7493 §2.3; the last one counts).
[[nodiscard]] Expected<nlohmann::json, ReadError> parse_json(std::string_view text,
                                                             const ReaderLimits& limits,
                                                             std::vector<ReportWarning>& warnings);

}  // namespace rpt
