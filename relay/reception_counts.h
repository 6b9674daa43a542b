// How much mail clients handed over and what they were refused, counted from the log's events, so
// that metrics and log say the same. Threading: any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "relay/log.h"

namespace relay {

class ReceptionCounts final : public LogWatcher {
 public:
  void observe(const LogEntry& entry) override;
  [[nodiscard]] std::uint64_t accepted() const { return accepted_; }
  [[nodiscard]] std::uint64_t auth_failures() const { return auth_failures_; }
  /// Refusals by SMTP command, or "content"; "other" is everything else.
  [[nodiscard]] std::map<std::string, std::uint64_t> rejected() const;

 private:
  static constexpr std::size_t kStages = 8;
  std::atomic<std::uint64_t> accepted_{0}, auth_failures_{0};
  std::array<std::atomic<std::uint64_t>, kStages> rejected_{};
};

}  // namespace relay
