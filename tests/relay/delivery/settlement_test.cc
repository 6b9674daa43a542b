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
  using enum FailureReader;
  struct Row {
    const char* what;
    const char* sender;
    spool::Origin origin;
    const char* notify;
    Fate::Kind kind;
    const char* postmaster;
    FailureReader told;
  };
  constexpr auto kMail = spool::Origin::submitted;
  for (const Row& row : std::initializer_list<Row>{
           {"failed", "s@e.org", kMail, "", Fate::Kind::failed, "p@e.org", sender},
           {"expired", "s@e.org", kMail, "", Fate::Kind::expired, "", sender},
           {"delivered", "s@e.org", kMail, "", Fate::Kind::delivered, "p@e.org", not_failed},
           {"deferred", "s@e.org", kMail, "", Fate::Kind::deferred, "p@e.org", not_failed},
           {"null sender", "", kMail, "", Fate::Kind::failed, "", nobody},
           {"null sender, with a postmaster", "", kMail, "", Fate::Kind::failed, "p@e.org",
            postmaster},
           {"our notice", "", spool::Origin::notice, "", Fate::Kind::failed, "", nobody},
           {"our notice to a sender", "", spool::Origin::notice, "", Fate::Kind::expired, "p@e.org",
            postmaster},
           {"our notice, which says NEVER", "", spool::Origin::notice, "NEVER", Fate::Kind::failed,
            "p@e.org", postmaster},
           {"our notice to the postmaster", "", spool::Origin::notice, "", Fate::Kind::failed,
            "r0@example.net", nobody},
           {"our report", "s@e.org", spool::Origin::report, "", Fate::Kind::failed, "p@e.org",
            unwanted},
           {"NEVER", "s@e.org", kMail, "NEVER", Fate::Kind::failed, "p@e.org", unwanted},
           {"NEVER of nobody", "", kMail, "NEVER", Fate::Kind::failed, "p@e.org", unwanted},
           {"SUCCESS", "s@e.org", kMail, "SUCCESS", Fate::Kind::failed, "", unwanted},
           {"DELAY,FAILURE", "s@e.org", kMail, "DELAY,FAILURE", Fate::Kind::failed, "", sender}}) {
    CAPTURE(row.what);
    spool::Envelope envelope = envelope_of(1);
    envelope.sender = row.sender;
    envelope.origin = row.origin;
    envelope.recipients[0].notify = row.notify;
    Fate fate;
    fate.kind = row.kind;
    fate.recipient = &envelope.recipients[0];
    CHECK(failure_reader(envelope, fate, row.postmaster) == row.told);
  }
}

TEST_CASE("RFC 3461 section 5.2.2: relayed is told where SUCCESS is asked for and not passed on") {
  struct Row {
    const char* sender;
    const char* notify;
    Fate::Kind kind;
    DsnHandover dsn;
    bool told;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"s@e.org", "SUCCESS", Fate::Kind::delivered, DsnHandover::none, true},
           {"s@e.org", "FAILURE,SUCCESS", Fate::Kind::delivered, DsnHandover::none, true},
           {"s@e.org", "SUCCESS", Fate::Kind::delivered, DsnHandover::passed_on, false},
           {"s@e.org", "", Fate::Kind::delivered, DsnHandover::none, false},
           {"s@e.org", "FAILURE,DELAY", Fate::Kind::delivered, DsnHandover::none, false},
           {"s@e.org", "SUCCESS", Fate::Kind::failed, DsnHandover::none, false},
           {"", "SUCCESS", Fate::Kind::delivered, DsnHandover::none, false}}) {
    CAPTURE(row.notify);
    spool::Envelope envelope = envelope_of(1);
    envelope.sender = row.sender;
    envelope.recipients[0].notify = row.notify;
    RecipientOutcome outcome;
    outcome.dsn = row.dsn;
    const Fate fate{row.kind, envelope.recipients.data(), &outcome, std::nullopt};
    CHECK(wants_relayed_notice(envelope, fate) == row.told);
  }
}

TEST_CASE("of mail that staging kept nobody hears that it went on or is late") {
  struct Row {
    Staged staged;
    bool delay_told;
  };
  for (const Row& row :
       {Row{Staged::sinked, false}, Row{Staged::captured, false}, Row{Staged::held_back, false},
        Row{Staged::simulated, true}, Row{Staged::dry_run, true}}) {
    CAPTURE(name(row.staged));
    spool::Envelope envelope = envelope_of(1);
    envelope.received_at = kNow - 5h;
    envelope.recipients[0].notify = "SUCCESS,DELAY";
    RecipientOutcome outcome;
    outcome.staged = row.staged;
    Fate fate{Fate::Kind::delivered, envelope.recipients.data(), &outcome, std::nullopt};
    CHECK_FALSE(wants_relayed_notice(envelope, fate));
    fate.kind = Fate::Kind::deferred;
    CHECK(wants_delay_notice(envelope, fate, 4h, kNow) == row.delay_told);
  }
}

TEST_CASE("a delay is told once it is long enough, to who wants to know, and once") {
  struct Row {
    const char* what;
    const char* sender;
    const char* notify;
    std::chrono::seconds age;
    std::chrono::seconds warn_after;
    bool told_before;
    bool told;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"in time", "s@e.org", "", 4h - 1s, 4h, false, false},
           {"late", "s@e.org", "", 4h, 4h, false, true},
           {"off", "s@e.org", "", 40h, 0s, false, false},
           {"told", "s@e.org", "", 40h, 4h, true, false},
           {"null sender", "", "", 40h, 4h, false, false},
           {"NOTIFY with it", "s@e.org", "FAILURE,DELAY", 4h, 4h, false, true},
           {"NOTIFY without it", "s@e.org", "FAILURE", 4h, 4h, false, false},
           {"NEVER", "s@e.org", "NEVER", 4h, 4h, false, false}}) {
    CAPTURE(row.what);
    spool::Envelope envelope = envelope_of(1);
    envelope.sender = row.sender;
    envelope.received_at = kNow - row.age;
    envelope.delay_told = row.told_before;
    envelope.recipients[0].notify = row.notify;
    const RecipientOutcome outcome;
    Fate fate;
    fate.recipient = envelope.recipients.data();
    fate.outcome = &outcome;
    CHECK(wants_delay_notice(envelope, fate, row.warn_after, kNow) == row.told);
    fate.kind = Fate::Kind::failed;
    CHECK_FALSE(wants_delay_notice(envelope, fate, row.warn_after, kNow));
  }
}

TEST_CASE("the delay of a message with a new life counts from there") {
  spool::Envelope envelope = envelope_of(1);
  envelope.sender = "s@e.org";
  envelope.received_at = kNow - 50h;
  envelope.life_from = kNow - 3h;
  const RecipientOutcome outcome;
  Fate fate;
  fate.recipient = envelope.recipients.data();
  fate.outcome = &outcome;
  CHECK_FALSE(wants_delay_notice(envelope, fate, 4h, kNow));
  CHECK(wants_delay_notice(envelope, fate, 4h, kNow + 1h));
  const Finished end = finished({Result::deferred});
  const std::vector<std::chrono::milliseconds> waits{2h};
  CHECK(settle(envelope, end, {waits, kNow + 40h, 0, 4h}, kNow).fates[0].next_try == kNow + 1h);
}

TEST_CASE("a wait across the time of the delay notice ends there, if one will be sent") {
  struct Row {
    const char* sender;
    const char* notify;
    bool told;
    std::chrono::seconds warn_after;
    std::chrono::seconds wait;
  };
  for (const Row& row : std::initializer_list<Row>{{"s@e.org", "", false, 30s, 20s},
                                                   {"s@e.org", "", false, 100s, 60s},
                                                   {"s@e.org", "", false, 5s, 60s},
                                                   {"s@e.org", "", false, 0s, 60s},
                                                   {"s@e.org", "", true, 30s, 60s},
                                                   {"s@e.org", "NEVER", false, 30s, 60s},
                                                   {"", "", false, 30s, 60s}}) {
    spool::Envelope envelope = envelope_of(1);  // accepted ten seconds ago
    envelope.sender = row.sender;
    envelope.delay_told = row.told;
    envelope.recipients[0].notify = row.notify;
    const Finished end = finished({Result::deferred});
    CHECK(settle(envelope, end, {kWaits, envelope.expires_at, 0, row.warn_after}, kNow)
              .fates[0]
              .next_try == kNow + row.wait);
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
