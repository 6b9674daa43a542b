#include "relay/delivery/notice_limit.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;

TEST_CASE("an address gets so many notices in an hour, and other addresses theirs") {
  relay::delivery::NoticeLimit limit;
  const relay::net::SteadyTime start{100h};
  CHECK(limit.take("a@a.example", 2, start));
  CHECK(limit.take("a@a.example", 2, start + 1min));
  CHECK_FALSE(limit.take("a@a.example", 2, start + 59min));
  CHECK(limit.take("b@a.example", 2, start + 59min));
  CHECK(limit.take("a@a.example", 2, start + 60min));
}

}  // namespace
