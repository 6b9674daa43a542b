// Control actions: clients, their limits and holds.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/control/subject.h"

namespace relay::control::testing {
namespace {

MessageId put_held(Subject& subject, const std::string& reason) {
  auto envelope = envelope_to({"a.example"});
  envelope.received_at = subject.clock.wall();
  envelope.expires_at = subject.clock.wall() + std::chrono::hours(96);
  envelope.held = reason;
  envelope.held_at = envelope.received_at;
  return store(*subject.spool, subject.thread, envelope, 100);
}

bool is_held(Subject& subject, MessageId id) {
  return !(*subject.reader->envelope(id, ""))->held.empty();
}

}  // namespace

TEST_CASE("clients are listed by name, page by page, with their limits") {
  Subject subject;
  relay::reception::ClientState app{"app", 3, 7, {}, 2};
  app.limits.messages = conf::Rate{100, std::chrono::hours(1)};
  app.limits.connections = 5;
  app.hold = relay::spool::ClientHold{"app", "is held by the operator", subject.clock.wall(), "x"};
  subject.clients = {app, {"b", 0, 0, {}, 1}, {"c", 0, 0, {}, 1}};
  const Json first = subject.data(ClientList{2, ""});
  REQUIRE(first["clients"].size() == 2);
  CHECK(first["next"] == "b");
  const Json& listed = first["clients"][0];
  CHECK(listed["messages"] == 3);
  CHECK(listed["messages_limit"] == "100/h");
  CHECK(listed["recipients_limit"].is_null());
  CHECK(listed["connections"] == 2);
  CHECK(listed["connections_limit"] == 5);
  CHECK(listed["held"]["reason"] == "is held by the operator");
  const Json second = subject.data(ClientList{2, "b"});
  REQUIRE(second["clients"].size() == 1);
  CHECK(second["clients"][0]["name"] == "c");
  CHECK(second["clients"][0]["held"].is_null());
  CHECK(second["next"].is_null());
}

TEST_CASE("a released client's messages are released with it, and nobody else's") {
  Subject subject;
  CHECK(subject.data(ClientHoldSet{"app1", "hacked", "uid:0"})["reason"] ==
        "is held by the operator: hacked");
  const auto now = put_held(subject, "client app1: is held by the operator: hacked");
  const auto before = put_held(subject, "client app1: sent more than 100 messages per hour");
  const auto other = put_held(subject, "client app11: sent more than 100 messages per hour");
  const auto operators = put_held(subject, "ticket 7: client app1 complained");
  CHECK(subject.reader->client_holds()->size() == 1);
  const Json answer = subject.data(ClientRelease{"app1", false, "uid:0"});
  CHECK(answer["released"] == "app1");
  CHECK(answer["messages"] == 2);
  CHECK(answer["recipients"] == 2);
  CHECK(subject.reader->client_holds()->empty());
  CHECK_FALSE(is_held(subject, now));
  CHECK_FALSE(is_held(subject, before));
  CHECK(is_held(subject, other));
  CHECK(is_held(subject, operators));
  CHECK(subject.audit.size() == 2);
  CHECK(subject.execute(ClientRelease{"app1", false, ""}).error ==
        "app1 is not held; `stsrelay clients` lists who is");
}

TEST_CASE("messages may stay held when their client is released, and be released later") {
  Subject subject;
  (void)subject.data(ClientHoldSet{"app1", "", ""});
  const auto id = put_held(subject, "client app1: is held by the operator");
  CHECK(subject.data(ClientRelease{"app1", true, ""})["messages"] == 0);
  CHECK(is_held(subject, id));
  CHECK(subject.data(ClientRelease{"app1", false, ""})["messages"] == 1);
  CHECK_FALSE(is_held(subject, id));
}

}  // namespace relay::control::testing
