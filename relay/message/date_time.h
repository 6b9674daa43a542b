// Dates as message fields have them (RFC 5322 §3.3). Pure.
#pragma once

#include <chrono>
#include <string>

namespace relay::message {

using Time = std::chrono::sys_time<std::chrono::milliseconds>;

/// "Sat, 21 Nov 2026 22:39:01 +0000", in UTC.
[[nodiscard]] std::string date_time(Time time);

}  // namespace relay::message
