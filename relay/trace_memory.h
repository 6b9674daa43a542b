// The latest events about messages, kept in memory so that one message can be followed from its
// acceptance to its end. Bounded by octets: the oldest go first. Threading: any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "relay/log.h"

namespace relay {

class TraceMemory final : public LogWatcher {
 public:
  /// most: octets of lines; 0: nothing is kept.
  explicit TraceMemory(std::uint64_t most) : most_(most) {}
  void observe(const LogEntry& entry) override;

  /// What is known of a message, and of notices about it, in order; as JSON objects.
  [[nodiscard]] std::vector<std::string> about_message(std::string_view id) const;
  /// What was traced of sessions for a recipient domain.
  [[nodiscard]] std::vector<std::string> about_domain(std::string_view domain) const;

 private:
  struct Line {
    std::string id, about, domain, json;
    [[nodiscard]] std::size_t size() const {
      return id.size() + about.size() + domain.size() + json.size() + sizeof(Line);
    }
  };
  template <class Wanted>
  [[nodiscard]] std::vector<std::string> find(const Wanted& wanted) const;

  const std::uint64_t most_;
  mutable std::mutex mutex_;
  std::deque<Line> lines_;
  std::uint64_t size_ = 0;
};

}  // namespace relay
