// Whose sessions are traced now: of a message or a recipient domain, for a limited time and so many
// lines. Shared by all workers. Threading: any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>

#include "relay/net/clock.h"

namespace relay::delivery {

class DialogueTrace {
 public:
  static constexpr std::size_t kMostLines = 10'000;  ///< of all traces, until the next is started

  /// subject: a message id or a recipient domain.
  void start(const std::string& subject, net::SteadyTime until);
  [[nodiscard]] bool wants(const std::string& id, const std::string& domain, net::SteadyTime now);
  enum class Line { taken, last, none };
  /// Whether one more line may be logged, and whether it is the last.
  [[nodiscard]] Line take_line();

 private:
  std::atomic<std::size_t> subjects_{0};
  std::atomic<std::size_t> lines_{0};
  std::mutex mutex_;
  std::map<std::string, net::SteadyTime> until_;
};

}  // namespace relay::delivery
