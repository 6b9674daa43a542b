#include "relay/delivery/settlement.h"

#include <array>
#include <chrono>
#include <vector>

#include <doctest/doctest.h>

namespace relay::delivery {
namespace {

using namespace std::chrono_literals;
using Result = RecipientOutcome::Result;
using Outcome = spool::RecipientUpdate::Outcome;

constexpr net::WallTime kNow{std::chrono::seconds(1'800'000'000)};
constexpr std::array<std::chrono::milliseconds, 3> kWaits{0ms, 60s, 300s};

spool::Envelope envelope_of(int recipients) {
  spool::Envelope envelope;
  envelope.id = spool::MessageId(7);
  envelope.sender = "sender@example.org";
  envelope.received_at = kNow - 10s;
  envelope.expires_at = kNow + 24h;
  for (int i = 0; i < recipients; ++i) {
    spool::Recipient recipient;
    recipient.index = static_cast<std::uint32_t>(i + 3);
    recipient.address = "r" + std::to_string(i) + "@example.net";
    recipient.domain = "example.net";
    envelope.recipients.push_back(recipient);
  }
  return envelope;
}

Finished finished(std::initializer_list<Result> results) {
  Finished end;
  std::uint32_t index = 3;
  for (const Result result : results) {
    RecipientOutcome outcome;
    outcome.index = index++;
    outcome.result = result;
    outcome.text = "text";
    end.outcomes.push_back(outcome);
  }
  return end;
}

TEST_CASE("delivered and failed recipients leave the queue, deferred ones get a time") {
  const spool::Envelope envelope = envelope_of(3);
  const Finished end = finished({Result::delivered, Result::failed, Result::deferred});
  const SettledAttempt settled = settle(envelope, end, {kWaits, envelope.expires_at, 0}, kNow);
  REQUIRE(settled.settlement.updates.size() == 3);
  CHECK(settled.settlement.updates[0].outcome == Outcome::delivered);
  CHECK(settled.settlement.updates[1].outcome == Outcome::failed);
  CHECK(settled.settlement.updates[2].outcome == Outcome::deferred);
  CHECK(settled.settlement.updates[2].index == 5);
  CHECK(settled.settlement.updates[2].next_try == kNow + 60s);
  CHECK(settled.fates[1].kind == Fate::Kind::failed);
}

TEST_CASE("a report's delivery learns what became of the mail that carries it") {
  struct Row {
    Result result;
    std::chrono::seconds left;  ///< until the message expires
    rpt::Stage stage;
    bool suppressed;
  };
  const std::vector<Row> rows{{Result::delivered, 24h, rpt::Stage::accepted, false},
                              {Result::deferred, 24h, rpt::Stage::handed_over, false},
                              {Result::failed, 24h, rpt::Stage::refused, true},
                              {Result::deferred, 0s, rpt::Stage::expired, true}};
  for (const Row& row : rows) {
    CAPTURE(rpt::name(row.stage));
    spool::Envelope envelope = envelope_of(1);
    envelope.expires_at = kNow + row.left;
    CHECK_FALSE(settle(envelope, finished({row.result}), {kWaits, envelope.expires_at, 0}, kNow)
                    .settlement.report);
    envelope.origin = spool::Origin::report;
    const auto outcome =
        settle(envelope, finished({row.result}), {kWaits, envelope.expires_at, 0}, kNow)
            .settlement.report;
    REQUIRE(outcome);
    CHECK(outcome->stage == row.stage);
    CHECK(outcome->result == "text");
    CHECK(outcome->suppress_until.has_value() == row.suppressed);
    CHECK(outcome->suppress_until.value_or(kNow + 24h * 7) == kNow + 24h * 7);
  }
}

TEST_CASE("the wait grows with the attempts made and is stretched by the jitter") {
  spool::Envelope envelope = envelope_of(1);
  envelope.recipients[0].attempts = 1;
  const Finished end = finished({Result::deferred});
  CHECK(settle(envelope, end, {kWaits, envelope.expires_at, 0}, kNow).fates[0].next_try ==
        kNow + 300s);
  CHECK(settle(envelope, end, {kWaits, envelope.expires_at, 0.1}, kNow).fates[0].next_try ==
        kNow + 330s);
  CHECK(settle(envelope, end, {kWaits, envelope.expires_at, -0.1}, kNow).fates[0].next_try ==
        kNow + 270s);
}

TEST_CASE("a deferral past the message's life is an expiry and fails the recipient") {
  spool::Envelope envelope = envelope_of(1);
  envelope.expires_at = kNow - 1s;
  const Finished end = finished({Result::deferred});
  const SettledAttempt settled = settle(envelope, end, {kWaits, envelope.expires_at, 0}, kNow);
  CHECK(settled.fates[0].kind == Fate::Kind::expired);
  CHECK(settled.settlement.updates[0].outcome == Outcome::failed);
}

TEST_CASE("who is told of a failure") {
  struct Row {
    const char* what;
    const char* sender;
    spool::Origin origin;
    const char* notify;
    Fate::Kind kind;
    bool told;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"failed", "s@e.org", spool::Origin::submitted, "", Fate::Kind::failed, true},
           {"expired", "s@e.org", spool::Origin::submitted, "", Fate::Kind::expired, true},
           {"delivered", "s@e.org", spool::Origin::submitted, "", Fate::Kind::delivered, false},
           {"deferred", "s@e.org", spool::Origin::submitted, "", Fate::Kind::deferred, false},
           {"null sender", "", spool::Origin::submitted, "", Fate::Kind::failed, false},
           {"our notice", "s@e.org", spool::Origin::notice, "", Fate::Kind::failed, false},
           {"our report", "s@e.org", spool::Origin::report, "", Fate::Kind::failed, false},
           {"NEVER", "s@e.org", spool::Origin::submitted, "NEVER", Fate::Kind::failed, false},
           {"SUCCESS", "s@e.org", spool::Origin::submitted, "SUCCESS", Fate::Kind::failed, false},
           {"DELAY,FAILURE", "s@e.org", spool::Origin::submitted, "DELAY,FAILURE",
            Fate::Kind::failed, true}}) {
    CAPTURE(row.what);
    spool::Envelope envelope = envelope_of(1);
    envelope.sender = row.sender;
    envelope.origin = row.origin;
    envelope.recipients[0].notify = row.notify;
    Fate fate;
    fate.kind = row.kind;
    fate.recipient = &envelope.recipients[0];
    CHECK(wants_notice(envelope, fate) == row.told);
  }
}

TEST_CASE("a domain's own lifetime counts from the message's life, its own waits replace all") {
  conf::Queue queue;
  queue.domains["slow.example"].lifetime = 48h;
  queue.domains["*.quick.example"] = {10min, {1s, 2s}};
  spool::Envelope envelope = envelope_of(1);
  struct Row {
    const char* domain;
    net::WallTime life_from;
    spool::Origin origin;
    net::WallTime end;
    std::size_t waits;
  };
  const net::WallTime arrived = envelope.received_at;
  using spool::Origin;
  for (const Row& row : {Row{"other.example", {}, Origin::submitted, kNow + 24h, 8},
                         Row{"slow.example", {}, Origin::submitted, arrived + 48h, 8},
                         Row{"slow.example", arrived + 5h, Origin::notice, arrived + 53h, 8},
                         Row{"slow.example", {}, Origin::report, kNow + 24h, 8},
                         Row{"a.b.quick.example", {}, Origin::submitted, arrived + 10min, 2},
                         Row{"quick.example", {}, Origin::submitted, kNow + 24h, 8}}) {
    CAPTURE(row.domain);
    envelope.life_from = row.life_from;
    envelope.origin = row.origin;
    CHECK(end_of_life(queue, envelope, row.domain) == row.end);
    const RetryRules rules = RetryRules::of(queue, envelope, row.domain, 0);
    CHECK(rules.waits.size() == row.waits);
    CHECK(rules.expires == row.end);
  }
}

}  // namespace
}  // namespace relay::delivery
