// How many notices go to one address in an hour, so that no storm of failures becomes one of
// notices. Shared by all workers. Threading: any thread.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "relay/net/clock.h"

namespace relay::delivery {

class NoticeLimit {
 public:
  /// Whether one more may go there; if so, it is counted.
  [[nodiscard]] bool take(const std::string& address, int per_hour, net::SteadyTime now);

 private:
  std::mutex mutex_;
  net::SteadyTime since_{};
  std::unordered_map<std::string, int> counts_;  ///< since then
};

}  // namespace relay::delivery
