#include "relay/cli/report_chart.h"

#include <algorithm>

#include <fmt/format.h>

#include "relay/control/timestamp.h"

namespace relay::cli {
namespace {

constexpr std::size_t kMaxDays = 400;
constexpr double kLeastBar = 6;        // of a day with sessions beside days with very many
constexpr double kLeastHeight = 2.5;   // of failures in it, so that they can be seen
constexpr std::size_t kDatedDays = 8;  // so many dates stand beside each other

struct Frame {
  double left, top, width, height;
  double widest_bar;
};

double slot_width(const std::vector<DayPoint>& points, const Frame& frame) {
  return frame.width / static_cast<double>(std::max<std::size_t>(points.size(), 1));
}

std::string tooltip(const DayPoint& point) {
  const std::string day = control::day_text(point.day);
  return point.counts.total() == 0
             ? day + ": no sessions"
             : fmt::format("{}: {} sessions, {} failed, {} ok", day, grouped(point.counts.total()),
                           grouped(point.counts.failed), share_ok(point.counts));
}

std::uint64_t largest(const std::vector<DayPoint>& points) {
  std::uint64_t most = 1;
  for (const DayPoint& point : points) {
    most = std::max(most, point.counts.total());
  }
  return most;
}

std::string rectangle(const char* kind, double x, double y, double width, double height) {
  return height <= 0
             ? ""
             : fmt::format(
                   R"(<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)",
                   kind, x, y, width, height);
}

/// Of a bar and of its failed part. Where a day is small beside others, what went well and what did
/// not are both to be seen.
std::pair<double, double> heights(const SessionCounts& counts, double most, const Frame& frame) {
  if (counts.total() == 0) {
    return {0, 0};
  }
  const auto sessions = static_cast<double>(counts.total());
  const double total = std::max(sessions / most * frame.height, kLeastBar);
  if (counts.failed == 0 || counts.successful == 0) {
    return {total, counts.failed == 0 ? 0 : total};
  }
  const double failed = static_cast<double>(counts.failed) / sessions * total;
  return {total, std::clamp(failed, kLeastHeight, total - kLeastHeight)};
}

std::string bars(const std::vector<DayPoint>& points, const Frame& frame) {
  const auto most = static_cast<double>(largest(points));
  const double slot = slot_width(points, frame);
  const double width = std::min(slot > 4 ? slot - slot / 5 : slot, frame.widest_bar);
  const double bottom = frame.top + frame.height;
  std::string svg;
  double x = frame.left + (slot - width) / 2;
  for (const DayPoint& point : points) {
    const auto& counts = point.counts;
    const auto [total, failed] = heights(counts, most, frame);
    svg += fmt::format("<g><title>{}</title>", tooltip(point));
    svg += rectangle("hit", x, frame.top, width, frame.height);
    svg += rectangle("ok", x, bottom - total, width, total - failed);
    svg += rectangle("bad", x, bottom - failed, width, failed) + "</g>";
    x += slot;
  }
  return svg;
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)", x, y, anchor,
                     text);
}

std::string scale(std::uint64_t most, const Frame& frame) {
  std::string svg;
  for (const auto& [share, count] :
       {std::pair{0.0, most}, std::pair{0.5, most / 2}, std::pair{1.0, std::uint64_t{0}}}) {
    const double y = frame.top + frame.height * share;
    svg += fmt::format(R"(<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>)", frame.left,
                       frame.left + frame.width, y, y);
    if (count > 0 || share == 1.0) {
      svg += label(frame.left - 6, y + 4, "end", grouped(count));
    }
  }
  return svg;
}

std::string dates(const std::vector<DayPoint>& points, const Frame& frame) {
  const double y = frame.top + frame.height + 18;
  if (points.size() <= kDatedDays) {
    const double slot = slot_width(points, frame);
    double x = frame.left + slot / 2;
    std::string svg;
    for (const DayPoint& point : points) {
      svg += label(x, y, "middle", control::day_text(point.day));
      x += slot;
    }
    return svg;
  }
  std::string svg = label(frame.left, y, "start", control::day_text(points.front().day));
  svg += label(frame.left + frame.width / 2, y, "middle",
               control::day_text(points[points.size() / 2].day));
  return svg + label(frame.left + frame.width, y, "end", control::day_text(points.back().day));
}

}  // namespace

std::string grouped(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t i = 3; i < text.size(); i += 4) {
    text.insert(text.size() - i, ",");
  }
  return text;
}

std::vector<std::chrono::sys_days> chart_days(const DayCounts& counts, const DayRange& range) {
  std::vector<std::chrono::sys_days> days;
  if (!range.first || !range.last) {
    return days;
  }
  if (*range.last - *range.first < std::chrono::days(kMaxDays)) {
    for (auto day = *range.first; day <= *range.last; day += std::chrono::days(1)) {
      days.push_back(day);
    }
    return days;
  }
  for (const auto& [day, counted] : counts) {
    days.push_back(day);
  }
  if (days.size() > kMaxDays) {
    days.erase(days.begin(), days.end() - static_cast<std::ptrdiff_t>(kMaxDays));
  }
  return days;
}

std::vector<DayPoint> points(const DayCounts& counts,
                             const std::vector<std::chrono::sys_days>& days) {
  std::vector<DayPoint> result;
  result.reserve(days.size());
  for (const auto day : days) {
    const auto found = counts.find(day);
    result.push_back({day, found == counts.end() ? SessionCounts{} : found->second});
  }
  return result;
}

std::string day_chart(const std::vector<DayPoint>& points) {
  if (points.empty()) {
    return {};
  }
  constexpr Frame kFrame{70, 10, 780, 150, 42};
  return R"(<svg class="chart" viewBox="0 0 860 184" role="img" aria-label="Sessions per day">)" +
         scale(largest(points), kFrame) + bars(points, kFrame) + dates(points, kFrame) + "</svg>";
}

std::string day_spark(const std::vector<DayPoint>& points) {
  if (points.empty()) {
    return {};
  }
  constexpr Frame kFrame{0, 1, 180, 30, 12};
  return R"(<svg class="spark" viewBox="0 0 180 32" role="img" aria-label="Sessions per day">)" +
         bars(points, kFrame) + "</svg>";
}

}  // namespace relay::cli
