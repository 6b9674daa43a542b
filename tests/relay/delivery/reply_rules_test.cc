#include "relay/delivery/reply_rules.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/delivery/rate_limits.h"
#include "tests/relay/delivery/walk.h"

namespace relay::delivery {
namespace {

using Action = conf::ReplyRule::Action;
using std::chrono::minutes;

smtp::RecipientResult refusal(int code, std::string text, smtp::Stage stage = smtp::Stage::rcpt) {
  auto made =
      result(code >= 500 ? smtp::Disposition::rejected : smtp::Disposition::deferred, stage, code);
  made.reply = smtp::Reply{code, {std::move(text)}};
  return made;
}

}  // namespace

TEST_CASE(
    "a rule fits by host or domain, code, enhanced code and words, and the first one counts") {
  const std::vector<conf::ReplyRule> rules{
      {"*.google.example", "", "", "", Action::defer, minutes(1)},
      {"partner.example", "550", "", "", Action::defer, minutes(1)},
      {"", "421", "", "too many|rate", Action::slow_down, minutes(2)},
      {"", "", "4.7", "", Action::fail, minutes(3)}};
  struct Row {
    const char* host;
    const char* domain;
    int code;
    const char* text;
    int rule;  // -1: none
  };
  const std::vector<Row> rows{
      {"mx.google.example", "a.example", 550, "no", 0},
      {"google.example", "a.example", 550, "no", -1},
      {"mx.other.example", "partner.example", 550, "no", 1},
      {"mx.other.example", "partner.example", 551, "no", -1},
      {"", "a.example", 421, "4.3.2 Too Many connections", 2},
      {"", "a.example", 421, "rates are exceeded", 2},
      {"", "a.example", 421, "generated", -1},
      {"", "a.example", 421, "4.7.0 generated", 3},
      {"", "a.example", 450, "4.7.28 x", 3},
      {"", "a.example", 450, "4.71.1 x", -1},
      {"mx.google.example", "a.example", 250, "2.0.0 fine", -1},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto* found = rule_for(rules, {row.host, row.domain}, smtp::Reply{row.code, {row.text}});
    CHECK((found == nullptr ? -1 : static_cast<int>(found - rules.data())) == row.rule);
  }
}

TEST_CASE("what rules make of refusals: later, later and slower, or never") {
  const std::vector<conf::ReplyRule> rules{{"", "551", "", "", Action::defer, minutes(1)},
                                           {"", "552", "", "", Action::slow_down, minutes(2)},
                                           {"", "451", "", "", Action::fail, minutes(3)}};
  const auto weighed = [&](smtp::RecipientResult made) {
    const auto pause = apply(rules, {}, made);
    return std::tuple(made.disposition, made.enhanced_code, pause);
  };
  using smtp::Disposition;
  CHECK(weighed(refusal(551, "x")) ==
        std::tuple(Disposition::deferred, std::string("4.0.0"), minutes(0)));
  CHECK(weighed(refusal(552, "x")) ==
        std::tuple(Disposition::deferred, std::string("4.0.0"), minutes(2)));
  CHECK(weighed(refusal(451, "x")) ==
        std::tuple(Disposition::rejected, std::string("5.0.0"), minutes(0)));
  CHECK(weighed(refusal(550, "x")) ==
        std::tuple(Disposition::rejected, std::string("5.0.0"), minutes(0)));
}

TEST_CASE("an attempt obeys the rules and says how long its destination wants to be left alone") {
  AttemptSettings settings = Walk::settings();
  settings.reply_rules = conf::Delivery{}.reply_rules;
  settings.reply_rules.push_back({"*.example.net", "550", "5.7", "", Action::defer, minutes(1)});
  SUBCASE("a refusal of the session") {
    Walk walk(settings, envelope());
    static_cast<void>(walk.to_hosts(verdict(nullptr), mx({{10, "mx.example.net"}})));
    SessionUsed session = ended(smtp::SessionEnd::Kind::refused, smtp::Stage::greeting);
    session.end->reply = smtp::Reply{421, {"4.7.0 too many connections"}};
    const Step step = walk.report(session);
    CHECK(std::get<Finished>(step).pause == minutes(2));
    CHECK(only(step).result == Result::deferred);
  }
  SUBCASE("a refusal of the message") {
    Walk walk(settings, envelope());
    static_cast<void>(walk.to_hosts(verdict(nullptr), mx({{10, "mx.example.net"}})));
    const Step step = walk.report(transaction({refusal(550, "5.7.1 not today")}));
    CHECK(std::get<Finished>(step).pause == minutes(0));
    CHECK(only(step).result == Result::deferred);
  }
  RateLimits limits;
  limits.pause("a", kNow + minutes(2));
  CHECK(limits.paused_until("a", kNow) == kNow + minutes(2));
  CHECK_FALSE(limits.paused_until("b", kNow));
  CHECK_FALSE(limits.paused_until("a", kNow + minutes(2)));
}

}  // namespace relay::delivery
