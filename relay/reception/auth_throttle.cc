#include "relay/reception/auth_throttle.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <netinet/in.h>

namespace relay::reception {

std::string throttle_key(const std::string& client_ip) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (::inet_pton(AF_INET6, client_ip.c_str(), bytes.data()) != 1) {
    return client_ip;
  }
  return {bytes.begin(), bytes.begin() + bytes.size() / 2};
}

bool AuthThrottle::blocked(const std::string& client_ip, int limit, net::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const auto found = records_.find(throttle_key(client_ip));
  return found != records_.end() && now - found->second.since < kWindow &&
         found->second.failures >= limit;
}

std::chrono::milliseconds AuthThrottle::failed(const std::string& client_ip, net::SteadyTime now) {
  const std::lock_guard lock(mutex_);
  if (records_.size() >= kMaxRecords) {
    forget_old(now);
  }
  auto& record = records_[throttle_key(client_ip)];
  if (record.failures == 0 || now - record.since >= kWindow) {
    record = {0, now};
  }
  constexpr int kMostDoublings = 10;
  const auto delay = kFirstDelay * (1 << std::min(record.failures, kMostDoublings));
  ++record.failures;
  return std::min(delay, kLongestDelay);
}

// Rarely, and then all at once: under an attack from so many addresses none of them matters alone.
void AuthThrottle::forget_old(net::SteadyTime now) {
  std::erase_if(records_, [now](const auto& entry) { return now - entry.second.since >= kWindow; });
  if (records_.size() >= kMaxRecords) {
    records_.clear();
  }
}

}  // namespace relay::reception
