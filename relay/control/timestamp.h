// Moments as RFC 3339 text in UTC, to the second: "2026-03-01T09:30:00Z". Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "relay/net/clock.h"

namespace relay::control {

[[nodiscard]] std::string to_rfc3339(net::WallTime time);
/// Exactly what to_rfc3339() writes; nullopt for anything else.
[[nodiscard]] std::optional<net::WallTime> parse_rfc3339(std::string_view text);

/// "in 5m", "3h ago", "now".
[[nodiscard]] std::string relative(net::WallTime time, net::WallTime now);

[[nodiscard]] std::string day_text(std::chrono::sys_days day);  ///< "2026-03-01"
[[nodiscard]] std::optional<std::chrono::sys_days> parse_day(std::string_view text);

}  // namespace relay::control
