#include "relay/control/timestamp.h"

#include <charconv>

#include <fmt/format.h>

#include "relay/spool/report.h"

namespace relay::control {
namespace {

/// Digits at a fixed place; nullopt if there is anything else.
std::optional<int> digits(std::string_view text, std::size_t position, std::size_t count) {
  int value = 0;
  for (const char c : text.substr(position, count)) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    value = value * 10 + (c - '0');
  }
  return value;
}

std::string span(std::chrono::milliseconds length) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(length).count();
  if (seconds < 120) {
    return fmt::format("{}s", seconds);
  }
  if (seconds < 7200) {
    return fmt::format("{}m", seconds / 60);
  }
  if (seconds < 172800) {
    return fmt::format("{}h", seconds / 3600);
  }
  return fmt::format("{}d", seconds / 86400);
}

}  // namespace

std::string relative(net::WallTime time, net::WallTime now) {
  const auto distance = time - now;
  if (distance > std::chrono::seconds(-1) && distance < std::chrono::seconds(1)) {
    return "now";
  }
  return distance.count() > 0 ? fmt::format("in {}", span(distance))
                              : fmt::format("{} ago", span(-distance));
}

std::string day_text(std::chrono::sys_days day) {
  return spool::day_text(day);
}

std::optional<std::chrono::sys_days> parse_day(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') {
    return std::nullopt;
  }
  const auto year = digits(text, 0, 4);
  const auto month = digits(text, 5, 2);
  const auto day = digits(text, 8, 2);
  if (!year || !month || !day) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  return date.ok() ? std::optional(std::chrono::sys_days(date)) : std::nullopt;
}

std::string to_rfc3339(net::WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
  return fmt::format("{}T{:02}:{:02}:{:02}Z", day_text(day), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

std::optional<net::WallTime> parse_rfc3339(std::string_view text) {
  if (text.size() != 20 || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
      text[19] != 'Z') {
    return std::nullopt;
  }
  const auto day = parse_day(text.substr(0, 10));
  const auto hour = digits(text, 11, 2);
  const auto minute = digits(text, 14, 2);
  const auto second = digits(text, 17, 2);
  if (!day || !hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 59) {
    return std::nullopt;
  }
  return net::WallTime(*day) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

}  // namespace relay::control
