#include "conf/rate_bucket.h"

#include <doctest/doctest.h>

namespace {

using conf::Rate;
using conf::RateBucket;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr RateBucket::Time kStart{seconds(1'800'000'000)};

TEST_CASE("a bucket has room for so many at once, and then for more as time passes") {
  const Rate rate{100, hours(1)};
  RateBucket bucket(rate, 100, kStart);
  CHECK(bucket.room() == 100);
  bucket.charge(100);
  CHECK(bucket.room() == 0);
  CHECK(bucket.used() == 100);
  CHECK(bucket.wait() == seconds(36));
  bucket.refill(rate, 100, kStart + seconds(36) - milliseconds(1));
  CHECK(bucket.room() == 0);
  CHECK(bucket.wait() == milliseconds(1));
  bucket.refill(rate, 100, kStart + seconds(36));
  CHECK(bucket.room() == 1);
  CHECK(bucket.wait() == milliseconds(0));
  bucket.refill(rate, 100, kStart + hours(1000));
  CHECK(bucket.room() == 100);
  CHECK(bucket.used() == 0);
}

TEST_CASE("what is over the rate is made up for, and what did not come is given back") {
  const Rate rate{10, minutes(1)};
  RateBucket bucket(rate, 10, kStart);
  bucket.charge(30);
  CHECK(bucket.wait() == seconds(126));
  bucket.refill(rate, 10, kStart + minutes(2));
  CHECK(bucket.used() == 10);
  bucket.give_back(4);
  CHECK(bucket.room() == 4);
  bucket.give_back(1000);
  CHECK(bucket.room() == 10);
}

TEST_CASE("another rate leaves what is used, and a clock that is set stops nothing") {
  RateBucket bucket({100, hours(1)}, 100, kStart);
  bucket.charge(50);
  bucket.refill({10, std::chrono::days(1)}, 10, kStart);
  CHECK(bucket.used() == 50);
  CHECK(bucket.room() == 0);
  bucket.refill({100, hours(1)}, 100, kStart - hours(5));
  CHECK(bucket.used() == 50);
  CHECK(bucket.room() == 50);
  bucket.refill({100, hours(1)}, 100, kStart - hours(5) + seconds(36));
  CHECK(bucket.used() == 49);
}

TEST_CASE("no number of messages overflows a bucket") {
  const Rate rate{1, std::chrono::days(1)};
  RateBucket bucket(rate, 1, kStart);
  for (int i = 0; i < 100; ++i) {
    bucket.charge(~std::size_t{0});
  }
  CHECK(bucket.room() == 0);
  CHECK(bucket.wait() > hours(24));
  bucket.refill({4'000'000'000, seconds(1)}, 4'000'000'000, kStart + hours(24'000'000));
  CHECK(bucket.used() > 0);
}

}  // namespace
