#include "relay/delivery/staged.h"

#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/staging/placement.h"

namespace relay::delivery {
namespace {

using Seconds = std::chrono::seconds;
using At = conf::StagingFault::At;
using Connection = conf::StagingFault::Connection;

constexpr net::WallTime kReceived{Seconds(1'800'000'000)};

spool::Envelope waiting(staging::Mark mark, const std::vector<std::string>& addresses) {
  spool::Envelope envelope;
  envelope.received_at = kReceived;
  for (const std::string& address : addresses) {
    spool::Recipient recipient;
    recipient.index = static_cast<std::uint32_t>(envelope.recipients.size() + 4);
    recipient.address = address;
    recipient.domain = staging::marked(mark, address.substr(address.rfind('@') + 1));
    envelope.recipients.push_back(recipient);
  }
  return envelope;
}

/// "sinked delivered 2.0.0, …", or "attempt".
std::string ends(const spool::Envelope& envelope, const conf::Staging* staging,
                 Seconds after = Seconds(0)) {
  const auto end = staged_end(envelope, staging, kReceived + after);
  if (!end) {
    return "attempt";
  }
  std::string text;
  constexpr std::string_view kResults[] = {"delivered", "deferred", "failed"};
  std::uint32_t index = 4;
  for (const RecipientOutcome& outcome : end->outcomes) {
    CHECK(outcome.index == index++);
    CHECK_FALSE(outcome.text.empty());
    text += text.empty() ? "" : ", ";
    text.append(name(outcome.staged)).append(" ");
    text.append(kResults[static_cast<int>(outcome.result)]).append(" ").append(outcome.status);
  }
  return text;
}

TEST_CASE("staging: sinked mail stays to be seen for a while, and is then dropped") {
  conf::Staging staging;
  staging.sink = true;
  staging.sink_keep = Seconds(60);
  const auto mail = waiting(staging::Mark::nowhere, {"a@x.example"});
  CHECK(ends(mail, &staging) == "sinked deferred 2.0.0");
  CHECK(ends(mail, &staging, Seconds(59)) == "sinked deferred 2.0.0");
  CHECK(ends(mail, &staging, Seconds(60)) == "sinked delivered 2.0.0");
}

TEST_CASE("staging: captured mail is over at once") {
  conf::Staging staging;
  staging.capture = "/srv/mail";
  const auto mail = waiting(staging::Mark::nowhere, {"a@x.example", "b@y.example"});
  CHECK(ends(mail, &staging) == "captured delivered 2.0.0, captured delivered 2.0.0");
}

TEST_CASE("staging: what was to go nowhere never leaves, though the section be gone") {
  CHECK(ends(waiting(staging::Mark::nowhere, {"a@x.example"}), nullptr) ==
        "sinked delivered 2.0.0");
  conf::Staging other;
  other.redirect_to = "qa@test.example";
  CHECK(ends(waiting(staging::Mark::nowhere, {"a@x.example"}), &other) == "sinked delivered 2.0.0");
}

TEST_CASE("staging: a dry run is attempted, whatever the configuration has become") {
  conf::Staging staging;
  staging.sink = true;
  const auto mail = waiting(staging::Mark::dry_run, {"a@x.example"});
  CHECK(ends(mail, &staging) == "attempt");
  CHECK(ends(mail, nullptr) == "attempt");
}

TEST_CASE("staging: mail that was accepted before is held back, unless it may leave") {
  conf::Staging staging;
  staging.redirect_to = "qa@test.example";
  staging.allow_recipients = {"*@ours.example"};
  CHECK(ends(waiting(staging::Mark::none, {"a@x.example"}), &staging) ==
        "held-back deferred 4.7.1");
  CHECK(ends(waiting(staging::Mark::none, {"a@ours.example"}), &staging) == "attempt");
  CHECK(ends(waiting(staging::Mark::none, {"qa@test.example"}), &staging) == "attempt");
  CHECK(ends(waiting(staging::Mark::none, {"a@x.example"}), nullptr) == "attempt");
  for (const auto switch_on : {+[](conf::Staging& one) { one.sink = true; },
                               +[](conf::Staging& one) { one.dry_run = true; },
                               +[](conf::Staging& one) { one.capture = "/srv/mail"; }}) {
    conf::Staging nothing;
    switch_on(nothing);
    CHECK(ends(waiting(staging::Mark::none, {"a@x.example"}), &nothing) ==
          "held-back deferred 4.7.1");
  }
}

TEST_CASE("staging: faults at delivery are what a destination would have said") {
  conf::Staging staging;
  staging.faults = {{"temp@*", At::delivery, "451 4.3.0 later", {}, Connection::kept},
                    {"bare@*", At::delivery, "550 no", {}, Connection::kept},
                    {"fine@*", At::delivery, "250 2.0.0 taken", {}, Connection::kept},
                    {"lost@*", At::delivery, "", {}, Connection::dropped},
                    {"tls@*", At::delivery, "", {}, Connection::tls_failed},
                    {"slow@*", At::delivery, "550 5.1.1 no", Seconds(30), Connection::kept}};
  CHECK(ends(waiting(staging::Mark::nowhere, {"temp@x.example", "bare@x.example", "fine@x.example",
                                              "lost@x.example", "tls@x.example"}),
             &staging) ==
        "simulated deferred 4.3.0, simulated failed 5.0.0, simulated delivered 2.0.0, "
        "simulated deferred 4.4.2, simulated deferred 4.7.5");
  const auto slow = waiting(staging::Mark::nowhere, {"slow@x.example"});
  CHECK(ends(slow, &staging, Seconds(29)) == "simulated deferred 4.4.1");
  CHECK(ends(slow, &staging, Seconds(30)) == "simulated failed 5.1.1");
}

TEST_CASE("soft_bounce: a failure counts as a deferral, with its text") {
  Finished finished;
  RecipientOutcome outcome;
  outcome.result = RecipientOutcome::Result::failed;
  outcome.status = "5.1.1";
  outcome.text = "550 5.1.1 who";
  finished.outcomes.push_back(outcome);
  outcome.result = RecipientOutcome::Result::delivered;
  outcome.status = "2.0.0";
  finished.outcomes.push_back(outcome);
  soften(finished);
  CHECK(finished.outcomes[0].result == RecipientOutcome::Result::deferred);
  CHECK(finished.outcomes[0].status == "4.1.1");
  CHECK(finished.outcomes[0].text == "550 5.1.1 who");
  CHECK(finished.outcomes[1].result == RecipientOutcome::Result::delivered);
  CHECK(finished.outcomes[1].status == "2.0.0");
}

}  // namespace
}  // namespace relay::delivery
