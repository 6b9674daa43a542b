// Slows down who guesses passwords: each failure of an address makes its next answer wait longer,
// and after some none is tried any more. Shared by all workers.
// Threading: every method may be called from any thread. Time is an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "relay/net/clock.h"

namespace relay::reception {

class AuthThrottle {
 public:
  /// Failures count for this long after the first of them.
  static constexpr std::chrono::minutes kWindow{10};
  static constexpr std::chrono::milliseconds kFirstDelay{500};
  static constexpr std::chrono::milliseconds kLongestDelay{16'000};

  /// Whether no attempt is made any more for this client. limit: failures within kWindow.
  [[nodiscard]] bool blocked(const std::string& client_ip, int limit, net::SteadyTime now);
  /// Counts a failure; how long its answer is held back: twice as long each time.
  std::chrono::milliseconds failed(const std::string& client_ip, net::SteadyTime now);

 private:
  struct Record {
    int failures = 0;
    net::SteadyTime since{};
  };
  static constexpr std::size_t kMaxRecords = 100'000;

  void forget_old(net::SteadyTime now);

  std::mutex mutex_;
  std::unordered_map<std::string, Record> records_;
};

/// Whom an address stands for: itself, or the /64 network of an IPv6 address, of which one client
/// has them all.
[[nodiscard]] std::string throttle_key(const std::string& client_ip);

}  // namespace relay::reception
