#include "relay/spool/schedule.h"

#include <array>
#include <vector>

#include <doctest/doctest.h>

#include "relay/spool/message.h"

namespace relay::spool {

namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr std::array<milliseconds, 8> kWaits = {minutes(0),  minutes(1), minutes(5), minutes(15),
                                                minutes(30), hours(1),   hours(2),   hours(4)};
constexpr net::WallTime kNow{milliseconds(1'770'000'000'000)};

}  // namespace

TEST_CASE("schedule: each deferral waits longer, then every four hours, never past the expiry") {
  struct Row {
    const char* what;
    int attempts;
    milliseconds life_left;
    double jitter;
    std::optional<milliseconds> wait;
  };
  const std::vector<Row> rows = {
      {"before the first attempt", 0, hours(96), 0, minutes(0)},
      {"first deferral", 1, hours(96), 0, minutes(1)},
      {"second", 2, hours(96), 0, minutes(5)},
      {"seventh", 7, hours(96), 0, hours(4)},
      {"the last wait repeats", 30, hours(50), 0, hours(4)},
      {"jitter lengthens", 5, hours(96), 0.1, minutes(66)},
      {"jitter shortens", 5, hours(96), -0.1, minutes(54)},
      {"jitter beyond one is one", 5, hours(96), 7, hours(2)},
      {"jitter below minus one is minus one", 5, hours(96), -7, minutes(0)},
      {"one last attempt at the expiry", 7, hours(3), 0, hours(3)},
      {"jitter does not pass the expiry", 7, hours(4), 0.1, hours(4)},
      {"life over", 7, milliseconds(0), 0, std::nullopt},
      {"life long over", 7, -hours(1), 0, std::nullopt},
      {"a nonsensical count", -3, hours(96), 0, minutes(0)},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const auto next = next_try(kWaits, {row.attempts, kNow, kNow + row.life_left, row.jitter});
    REQUIRE(next.has_value() == row.wait.has_value());
    if (row.wait) {
      CHECK((*next - kNow).count() == row.wait->count());
    }
  }
}

TEST_CASE("schedule: without waits the next attempt is at once") {
  CHECK(next_try({}, {3, kNow, kNow + hours(1), 0}) == kNow);
}

TEST_CASE("message id: text is short, without vowels, and reads back") {
  for (const std::int64_t value :
       {0LL, 1LL, 30LL, 31LL, 12'345'678'901'234LL, 9'223'372'036'854'775'807LL}) {
    const auto text = MessageId(value).text();
    CAPTURE(text);
    CHECK(text.size() <= 13);
    CHECK(text.find_first_not_of("0123456789BCDFGHJKLMNPQRSTVWXYZ") == std::string::npos);
    CHECK(MessageId::parse(text) == MessageId(value));
  }
}

TEST_CASE("message id: what is no id is refused") {
  for (const auto* text : {"", "3kx0", "3KX0A", "3KX0 ", " 3KX0", "-1", "03KX", "00",
                           "ZZZZZZZZZZZZZ", "10000000000000", "3KX0\n"}) {
    CAPTURE(text);
    CHECK_FALSE(MessageId::parse(text));
  }
}

}  // namespace relay::spool
