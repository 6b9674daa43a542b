#include "relay/reception/auth_throttle.h"

#include <vector>

#include <doctest/doctest.h>

using relay::net::SteadyTime;
using relay::reception::AuthThrottle;
using namespace std::chrono_literals;

TEST_CASE("each failure of an address doubles the wait for its answer, up to a bound") {
  AuthThrottle throttle;
  const SteadyTime now{1h};
  std::vector<std::chrono::milliseconds> waits;
  for (int i = 0; i < 8; ++i) {
    waits.push_back(throttle.failed("192.0.2.1", now + i * 1s));
  }
  CHECK(waits == std::vector<std::chrono::milliseconds>{500ms, 1s, 2s, 4s, 8s, 16s, 16s, 16s});
  CHECK(throttle.failed("192.0.2.2", now) == 500ms);
}

TEST_CASE("after the limit an address is blocked until ten minutes after its first failure") {
  AuthThrottle throttle;
  const SteadyTime start{1h};
  CHECK_FALSE(throttle.blocked("192.0.2.1", 2, start));
  throttle.failed("192.0.2.1", start);
  CHECK_FALSE(throttle.blocked("192.0.2.1", 2, start + 1min));
  throttle.failed("192.0.2.1", start + 1min);
  CHECK(throttle.blocked("192.0.2.1", 2, start + 1min));
  CHECK(throttle.blocked("192.0.2.1", 2, start + 10min - 1s));
  CHECK_FALSE(throttle.blocked("192.0.2.1", 2, start + 10min));
  CHECK_FALSE(throttle.blocked("192.0.2.2", 2, start + 1min));
  CHECK(throttle.failed("192.0.2.1", start + 10min) == 500ms);
}

TEST_CASE("an IPv6 client is known by its /64") {
  AuthThrottle throttle;
  const SteadyTime now{1h};
  throttle.failed("2001:db8:1:2::1", now);
  CHECK(throttle.blocked("2001:db8:1:2:ffff::9", 1, now));
  CHECK_FALSE(throttle.blocked("2001:db8:1:3::1", 1, now));
}
