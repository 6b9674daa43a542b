// What the queue does for some mail only: priority classes, rules by recipient domain and by user.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace conf {

/// What goes first when several messages could be tried.
enum class Priority { high, normal, bulk };

/// For one recipient domain ("*.example.com": all below it).
struct QueueRule {
  std::chrono::milliseconds lifetime{0};         ///< 0: as for all mail
  std::vector<std::chrono::milliseconds> retry;  ///< empty: as for all mail
  friend bool operator==(const QueueRule&, const QueueRule&) = default;
};

/// For what one authenticated user sends.
struct QueueUser {
  Priority priority = Priority::normal;
  friend bool operator==(const QueueUser&, const QueueUser&) = default;
};

/// The rule of a domain, or that of the nearest domain above it with a "*."; null: none.
[[nodiscard]] const QueueRule* find_rule(const std::map<std::string, QueueRule>& rules,
                                         const std::string& domain);

}  // namespace conf
