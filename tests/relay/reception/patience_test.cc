#include "relay/reception/patience.h"

#include <optional>
#include <vector>

#include <doctest/doctest.h>

namespace relay::reception {
namespace {

using namespace std::chrono_literals;
using smtp::Overrun;

constexpr net::SteadyTime kStart{1h};

conf::Limits limits() {
  conf::Limits result;
  result.command_timeout = 5min;
  result.session_timeout = 1h;
  result.minimum_data_rate = 500;
  return result;
}

TEST_CASE("silence is counted from the last progress") {
  Patience patience(limits(), kStart);
  CHECK_FALSE(patience.overrun(kStart + 5min - 1ms, Load::normal).has_value());
  CHECK(patience.overrun(kStart + 5min, Load::normal) == Overrun::silence);
  patience.progress(kStart + 4min);
  CHECK_FALSE(patience.overrun(kStart + 9min - 1ms, Load::normal).has_value());
  CHECK(patience.overrun(kStart + 9min, Load::normal) == Overrun::silence);
}

TEST_CASE("under strain silence may last 10 s, or less where less is configured") {
  Patience patience(limits(), kStart);
  CHECK_FALSE(patience.overrun(kStart + 10s - 1ms, Load::strained).has_value());
  CHECK(patience.overrun(kStart + 10s, Load::strained) == Overrun::silence);
  CHECK_FALSE(patience.overrun(kStart + 10s, Load::normal).has_value());
  auto brisk = limits();
  brisk.command_timeout = 3s;
  CHECK(Patience(brisk, kStart).overrun(kStart + 3s, Load::strained) == Overrun::silence);
}

TEST_CASE("a session ends at its time whatever the client does") {
  Patience patience(limits(), kStart);
  patience.progress(kStart + 1h - 1ms);
  CHECK_FALSE(patience.overrun(kStart + 1h - 1ms, Load::normal).has_value());
  CHECK(patience.overrun(kStart + 1h, Load::normal) == Overrun::session);
}

TEST_CASE("content must keep the minimum pace after a grace of 30 s") {
  struct Row {
    std::size_t octets;
    std::chrono::seconds after;
    std::optional<Overrun> overrun;
  };
  const std::vector<Row> rows{
      {0, 30s, std::nullopt},
      {0, 31s, Overrun::rate},
      {500 * 31 - 1, 31s, Overrun::rate},
      {500 * 31, 31s, std::nullopt},
      {500 * 31, 33s, Overrun::rate},
  };
  for (const auto& row : rows) {
    CAPTURE(row.octets);
    Patience patience(limits(), kStart);
    patience.content(1'000'000);  // of an earlier message
    patience.content_expected(kStart);
    patience.content(row.octets);
    patience.content_expected(kStart + 1s);  // still
    CHECK(patience.overrun(kStart + row.after, Load::normal) == row.overrun);
    patience.content_over();
    CHECK_FALSE(patience.overrun(kStart + row.after, Load::normal).has_value());
  }
  auto lenient = limits();
  lenient.minimum_data_rate = 0;
  Patience patience(lenient, kStart);
  patience.content_expected(kStart);
  CHECK_FALSE(patience.overrun(kStart + 60s, Load::normal).has_value());
}

TEST_CASE("the pace is not judged for the time in which we did not read") {
  Patience patience(limits(), kStart);
  patience.content_expected(kStart);
  patience.reading_stopped(kStart + 10s);
  CHECK_FALSE(patience.overrun(kStart + 100s, Load::normal).has_value());
  patience.reading_resumed(kStart + 100s);
  CHECK_FALSE(patience.overrun(kStart + 120s, Load::normal).has_value());
  CHECK(patience.overrun(kStart + 121s, Load::normal) == Overrun::rate);

  // Stopped before the content began: only the time since then counts.
  Patience before(limits(), kStart);
  before.reading_stopped(kStart);
  before.content_expected(kStart + 50s);
  before.reading_resumed(kStart + 60s);
  CHECK_FALSE(before.overrun(kStart + 90s, Load::normal).has_value());
  CHECK(before.overrun(kStart + 91s, Load::normal) == Overrun::rate);
}

TEST_CASE("the next look is at the nearest limit, and within 10 s") {
  auto brisk = limits();
  brisk.command_timeout = 3s;
  brisk.session_timeout = 5s;
  Patience patience(brisk, kStart);
  CHECK(patience.next_look(kStart, Load::normal) == 3s);
  patience.progress(kStart + 4s);
  CHECK(patience.next_look(kStart + 4s, Load::normal) == 1s);
  CHECK(patience.next_look(kStart + 6s, Load::normal) == 1ms);
  CHECK(Patience(limits(), kStart).next_look(kStart, Load::normal) == 10s);
}

TEST_CASE("a client that may not relay is a strain, and so is every one over 80 % of the places") {
  CHECK(load(smtp::Relaying::allowed, 80, 100) == Load::normal);
  CHECK(load(smtp::Relaying::allowed, 81, 100) == Load::strained);
  CHECK(load(smtp::Relaying::denied, 1, 100) == Load::strained);
}

}  // namespace
}  // namespace relay::reception
