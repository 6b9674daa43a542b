// Bars per day as SVG, for the page of received reports. Pure.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "relay/cli/report_collection.h"

namespace relay::cli {

struct DayPoint {
  std::chrono::sys_days day;
  SessionCounts counts;
};

using DayCounts = std::map<std::chrono::sys_days, SessionCounts>;

/// Each day from the range's first to its last; of a range longer than anyone can look at, the
/// latest days that reports are about.
[[nodiscard]] std::vector<std::chrono::sys_days> chart_days(const DayCounts& counts,
                                                            const DayRange& range);
[[nodiscard]] std::vector<DayPoint> points(const DayCounts& counts,
                                           const std::vector<std::chrono::sys_days>& days);
/// A chart as wide as the page, with a scale and dates.
[[nodiscard]] std::string day_chart(const std::vector<DayPoint>& points);
/// The same as small as a word.
[[nodiscard]] std::string day_spark(const std::vector<DayPoint>& points);
/// "1,234,567".
[[nodiscard]] std::string grouped(std::uint64_t count);

}  // namespace relay::cli
