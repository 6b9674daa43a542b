// What operators do to the queue over the control protocol, and what they are told of it.
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/control/subject.h"

namespace relay::control::testing {
namespace {

using std::chrono::hours;

QueueChange change_by_id(QueueAction action, std::vector<MessageId> ids) {
  QueueChange request;
  request.action = action;
  request.ids = std::move(ids);
  return request;
}

QueueChange change_all(QueueAction action) {
  QueueChange request;
  request.action = action;
  request.all = true;
  return request;
}

QueueChange change_domain(QueueAction action, const std::string& domain) {
  QueueChange request;
  request.action = action;
  request.filter.domain = domain;
  return request;
}

relay::spool::Envelope stored(Subject& subject, MessageId id) {
  const auto envelope = subject.reader->envelope(id, "");
  REQUIRE(envelope);
  return envelope->value_or(relay::spool::Envelope{});
}

bool is_there(Subject& subject, MessageId id) {
  const auto envelope = subject.reader->envelope(id, "");
  REQUIRE(envelope);
  return envelope->has_value();
}

TEST_CASE("queue retry makes messages due now: by id, by domain, all") {
  Subject subject;
  const auto one = subject.put("a@sender.example", {"a.example", "b.example"});
  const auto two = subject.put("a@sender.example", {"b.example"});
  const auto three = subject.put("a@sender.example", {"c.example"});
  const auto due = [&](MessageId id) {
    return stored(subject, id).recipients.at(0).next_try <= subject.clock.wall();
  };
  CHECK(subject.data(change_by_id(QueueAction::retry, {three}))["messages"] == 1);
  CHECK(due(three));
  CHECK_FALSE(due(one));
  const Json by_domain = subject.data(change_domain(QueueAction::retry, "B.example"));
  CHECK(by_domain["messages"] == 2);
  CHECK(by_domain["recipients"] == 3);
  CHECK(due(one));
  CHECK(due(two));
  CHECK(subject.data(change_domain(QueueAction::retry, "unknown.example"))["messages"] == 0);
  CHECK(subject.data(change_all(QueueAction::retry))["messages"] == 3);
}

TEST_CASE("a change reaches every one of many messages, and all that matches only") {
  Subject subject;
  store_many(*subject.spool, subject.thread, 600);
  subject.put("b@sender.example", {"b.example"});
  const Json data = subject.data(change_all(QueueAction::retry));
  CHECK(data["messages"] == 601);
  subject.clock.set_wall(subject.clock.wall() - hours(1));
  // What arrives after the change began is none of its business.
  CHECK(subject.data(change_all(QueueAction::retry))["messages"] == 600);
}

TEST_CASE("a change that names messages tells which of them are not there") {
  Subject subject;
  const auto id = subject.put("a@sender.example", {"a.example"});
  const MessageId unknown(12345);
  const Json data = subject.data(change_by_id(QueueAction::hold, {unknown, id}));
  CHECK(data["messages"] == 1);
  CHECK(data["ids"] == Json{id.text()});
  CHECK(data["missing"] == Json{unknown.text()});
}

TEST_CASE("a dry run counts and changes nothing") {
  Subject subject;
  const auto id = subject.put("a@sender.example", {"a.example", "b.example"});
  for (const auto action : {QueueAction::hold, QueueAction::remove, QueueAction::bounce}) {
    QueueChange request = change_domain(action, "a.example");
    request.dry_run = true;
    const Json data = subject.data(request);
    CHECK(data["messages"] == 1);
    CHECK(data["recipients"] == 1);
    CHECK(data["ids"] == Json{id.text()});
  }
  CHECK(subject.audit.empty());
  CHECK(stored(subject, id).held.empty());
  CHECK(stored(subject, id).recipients.size() == 2);
}

TEST_CASE("hold and release: by reason, and each change is recorded with who made it") {
  Subject subject;
  const auto one = subject.put("a@sender.example", {"a.example"});
  const auto two = subject.put("b@sender.example", {"a.example"});
  Request hold = change_by_id(QueueAction::hold, {one});
  std::get<QueueChange>(hold).reason = "Looks like spam";
  sign(hold, 1000);
  CHECK(subject.data(hold)["messages"] == 1);
  CHECK(subject.data(change_by_id(QueueAction::hold, {two}))["messages"] == 1);
  CHECK(stored(subject, one).held == "Looks like spam");
  CHECK(stored(subject, two).held == "held by the operator");
  QueueList held;
  held.filter.held = true;
  CHECK(subject.data(held)["messages"].size() == 2);
  CHECK(subject.data(held)["messages"][0]["held"] == "Looks like spam");
  QueueChange release;
  release.action = QueueAction::release;
  release.filter.held_for = "spam";
  CHECK(subject.data(release)["messages"] == 1);
  CHECK(subject.data(release)["messages"] == 0);
  CHECK(stored(subject, one).held.empty());
  CHECK_FALSE(stored(subject, two).held.empty());
  CHECK(subject.audit == std::vector<std::string>{"hold " + one.text() + " 1 uid:1000",
                                                  "hold " + two.text() + " 1 ",
                                                  "release " + one.text() + " 1 "});
}

TEST_CASE("age, sender, recipient and domain together say which messages are meant") {
  Subject subject;
  const auto old = subject.put("alice@sender.example", {"a.example"});
  subject.clock.advance(hours(5));
  const auto young = subject.put("alice@sender.example", {"a.example", "b.example"});
  subject.put("bob@sender.example", {"a.example"});
  QueueChange request;
  request.action = QueueAction::hold;
  request.filter.sender = "ALICE@";
  request.filter.domain = "a.example";
  request.filter.recipient = "user0";
  request.filter.older_than = hours(4);
  CHECK(subject.data(request)["ids"] == Json{old.text()});
  request.filter.older_than = hours(0);
  request.filter.newer_than = hours(1);
  CHECK(subject.data(request)["ids"] == Json{young.text()});
}

TEST_CASE("requeue begins anew: attempts, lifetime, and no hold") {
  Subject subject;
  const auto id = subject.put("a@sender.example", {"a.example"});
  subject.data(change_by_id(QueueAction::hold, {id}));
  subject.clock.advance(hours(50));
  CHECK(subject.data(change_by_id(QueueAction::requeue, {id}))["recipients"] == 1);
  const auto envelope = stored(subject, id);
  CHECK(envelope.held.empty());
  CHECK(envelope.expires_at == subject.clock.wall() + hours(96));
  CHECK(envelope.recipients.at(0).next_try == subject.clock.wall());
}

TEST_CASE("remove takes recipients that match, without a notice, and the message with the last") {
  Subject subject;
  const auto id = subject.put("a@sender.example", {"a.example", "b.example"});
  CHECK(subject.data(change_domain(QueueAction::remove, "a.example"))["recipients"] == 1);
  CHECK(stored(subject, id).recipients.size() == 1);
  CHECK(subject.data(change_by_id(QueueAction::remove, {id}))["recipients"] == 1);
  CHECK(subject.reader->totals()->messages == 0);
  subject.put("a@sender.example", {"a.example"});
  subject.change_fault = StoreFault{StoreFault::Kind::io_error, "disk I/O error"};
  CHECK(subject.execute(change_all(QueueAction::remove)).error ==
        "the spool cannot be used: disk I/O error");
}

TEST_CASE(
    "bounce tells the sender once, with the operator's words, and leaves the others waiting") {
  Subject subject;
  const auto id = subject.put("a@sender.example", {"a.example", "a.example", "b.example"});
  QueueChange request = change_domain(QueueAction::bounce, "a.example");
  request.reason = "They have left us.";
  const Json data = subject.data(request);
  CHECK(data["messages"] == 1);
  CHECK(data["recipients"] == 2);
  CHECK(data["notices"] == 1);
  const auto rest = stored(subject, id);
  REQUIRE(rest.recipients.size() == 1);
  CHECK(rest.recipients[0].domain == "b.example");
  CHECK(rest.held.empty());
  const auto all = *subject.reader->list(id, 10);
  REQUIRE(all.size() == 1);
  CHECK(all[0].sender.empty());
  CHECK(all[0].recipients.at(0).address == "a@sender.example");
  CHECK(read_content(*subject.reader, all[0].id).find("They have left us.") != std::string::npos);
}

TEST_CASE("bounce of what has no sender is silent, and what is being tried is left alone") {
  Subject subject;
  const auto silent = subject.put("", {"a.example"});
  const auto tried = subject.put("a@sender.example", {"b.example", "c.example"});
  subject.busy = {{tried, "b.example"}};
  const Json data = subject.data(change_all(QueueAction::bounce));
  CHECK(data["messages"] == 2);
  CHECK(data["recipients"] == 2);
  CHECK(data["notices"] == 1);
  CHECK(data["under_way"] == 1);
  CHECK_FALSE(is_there(subject, silent));
  const auto rest = stored(subject, tried);
  REQUIRE(rest.recipients.size() == 1);
  CHECK(rest.recipients[0].domain == "b.example");
}

TEST_CASE("bounce keeps a hold that was there before") {
  Subject subject;
  const auto id = subject.put("a@sender.example", {"a.example", "b.example"});
  subject.data(change_by_id(QueueAction::hold, {id}));
  subject.data(change_domain(QueueAction::bounce, "a.example"));
  CHECK(stored(subject, id).held == "held by the operator");
}

TEST_CASE("pause and resume: what rests is said, and what does not is refused by name") {
  Subject subject;
  Request request = QueuePause{relay::spool::Pause::Kind::domain, "A.example.", "asked for", {}};
  sign(request, 0);
  const Json paused = subject.data(request);
  CHECK(paused["what"] == "the domain a.example");
  CHECK(paused["by"] == "uid:0");
  CHECK(subject.reader->pauses()->at(0).reason == "asked for");
  const QueueResume resume{relay::spool::Pause::Kind::domain, "a.example", {}};
  CHECK(subject.data(resume)["resumed"] == "the domain a.example");
  CHECK(subject.execute(resume).error.find("the domain a.example does not rest") == 0);
  CHECK(subject.reader->pauses()->empty());
}

TEST_CASE("queue top counts recipients by domain or sender and by age") {
  Subject subject;
  subject.put("a@sender.example", {"a.example", "b.example"});
  subject.clock.advance(std::chrono::minutes(7));
  subject.put("b@sender.example", {"b.example"});
  subject.clock.advance(hours(30));
  subject.put("b@sender.example", {"b.example"});
  const Json data = subject.data(QueueTop{});
  CHECK(data["total"]["recipients"] == 4);
  CHECK(data["rows"][0]["name"] == "b.example");
  CHECK(data["rows"][0]["ages"] == Json{1, 0, 0, 0, 0, 0, 0, 0, 0, 2});
  CHECK(data["rows"][1]["name"] == "a.example");
  const Json by_sender = subject.data(QueueTop{true, 1});
  CHECK(by_sender["count"] == 2);
  REQUIRE(by_sender["rows"].size() == 1);
  CHECK(by_sender["rows"][0]["name"] == "a@sender.example");
}

std::string told(Subject& subject, MessageId id) {
  const Json data = subject.data(QueueWhy{id});
  return data["state"].get<std::string>() + "|" + data["summary"].get<std::string>() + "|" +
         data["recipients"][0]["happened"].get<std::string>() + "|" +
         data["recipients"][0]["next"].get<std::string>() + "|" +
         data["recipients"][0]["policy"].get<std::string>();
}

bool says(const std::string& text, std::initializer_list<const char*> parts) {
  return std::all_of(parts.begin(), parts.end(), [&](const char* part) {
    const bool found = text.find(part) != std::string::npos;
    if (!found) {
      MESSAGE("missing: " << part << " in: " << text);
    }
    return found;
  });
}

TEST_CASE("queue why says what happened, what comes next and why") {
  Subject subject;
  subject.save("a.example");
  const auto id = subject.put("a@sender.example", {"a.example"});
  CHECK(says(told(subject, id), {"waiting|", "from a@sender.example", "It has not been tried yet.",
                                 "It is tried again at a.example:25", "(in 60m)",
                                 "it is given up and the sender is told",
                                 "MTA-STS policy 20260301 of a.example says enforce"}));
  relay::spool::Settlement settlement;
  settlement.id = id;
  settlement.at = subject.clock.wall();
  settlement.updates = {{0, relay::spool::RecipientUpdate::Outcome::deferred,
                         subject.clock.wall() + hours(1), "451 4.3.0 later"}};
  REQUIRE(settle(*subject.spool, subject.thread, settlement));
  CHECK(says(told(subject, id), {"tried once, the last time", "451 4.3.0 later"}));
  subject.busy = {{id, "a.example"}};
  CHECK(says(told(subject, id), {"under way|", "An attempt at a.example:25 is under way now."}));
  subject.busy.clear();
  subject.data(QueuePause{relay::spool::Pause::Kind::next_hop, "a.example", "upgrade", {}});
  CHECK(says(told(subject, id), {"resting|", "the next hop a.example rests since", ": upgrade."}));
  subject.data(change_by_id(QueueAction::hold, {id}));
  CHECK(says(told(subject, id), {"held|", "held since", "held by the operator",
                                 "stsrelay queue release", "Nothing, until it is released."}));
}

}  // namespace
}  // namespace relay::control::testing
