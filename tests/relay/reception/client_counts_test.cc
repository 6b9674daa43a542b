// What clients have sent of what they may, whose mail is held, and whom a connection is counted as.
#include "relay/reception/client_counts.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace relay::reception {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using Over = conf::ClientLimits::Over;
using What = Ruling::What;

constexpr net::WallTime kMorning{std::chrono::seconds(1'800'000'000)};

SendingLimits three_an_hour(Over over) {
  SendingLimits limits;
  limits.messages = conf::Rate{3, hours(1)};
  limits.over = over;
  return limits;
}

SendingLimits ten_recipients(Over over) {
  SendingLimits limits;
  limits.recipients = conf::Rate{10, hours(1)};
  limits.over = over;
  return limits;
}

/// What becomes of so many messages to one recipient each.
std::size_t taken(ClientCounts& counts, const std::string& client, const SendingLimits& limits,
                  int messages, net::WallTime now) {
  std::size_t sum = 0;
  for (int i = 0; i < messages; ++i) {
    if (counts.take(client, limits, 1, now).what == What::taken) {
      ++sum;
    }
  }
  return sum;
}

const ClientState* state_of(const std::vector<ClientState>& states, const std::string& name) {
  const auto found = std::ranges::find(states, name, &ClientState::name);
  return found == states.end() ? nullptr : &*found;
}

TEST_CASE("the first message over a rate holds its client, and no other") {
  ClientCounts counts({});
  const auto limits = three_an_hour(Over::hold);
  CHECK(taken(counts, "app1", limits, 3, kMorning) == 3);
  const auto fourth = counts.take("app1", limits, 1, kMorning);
  CHECK(fourth.what == What::held);
  CHECK(fourth.reason == "client app1: sent more than 3 messages per hour");
  REQUIRE(fourth.begun);
  CHECK(*fourth.begun ==
        spool::ClientHold{"app1", "sent more than 3 messages per hour", kMorning, ""});
  const auto later = counts.take("app1", limits, 1, kMorning + hours(24));
  CHECK(later.what == What::held);
  CHECK_FALSE(later.begun);
  CHECK(counts.take("app2", limits, 1, kMorning).what == What::taken);
  CHECK(counts.holds().size() == 1);
}

TEST_CASE("a client that keeps to its rate is never held") {
  ClientCounts counts({});
  const auto limits = three_an_hour(Over::hold);
  for (int i = 0; i < 100; ++i) {
    CHECK(counts.take("app1", limits, 1, kMorning + i * minutes(20)).what == What::taken);
  }
}

TEST_CASE("a released client begins anew, and one that an operator holds needs no limit") {
  ClientCounts counts({{"app1", "was held before the restart", kMorning, ""}});
  const auto limits = three_an_hour(Over::hold);
  CHECK(counts.take("app1", limits, 1, kMorning).reason ==
        "client app1: was held before the restart");
  CHECK(taken(counts, "app1", limits, 10, kMorning) == 0);
  CHECK(counts.release("app1"));
  CHECK_FALSE(counts.release("app1"));
  CHECK(taken(counts, "app1", limits, 4, kMorning) == 3);
  counts.hold({"free", "is held by the operator", kMorning, "uid:0"});
  CHECK(counts.take("free", {}, 1, kMorning).reason == "client free: is held by the operator");
  // Not even where the limits would have it refused.
  const auto refusing = three_an_hour(Over::refuse);
  for (int i = 0; i < 10; ++i) {
    CHECK(counts.room("free", refusing, kMorning).refusal.empty());
    CHECK(counts.take("free", refusing, 1, kMorning).what == What::held);
  }
}

TEST_CASE("where the excess is refused, what is refused does not count") {
  ClientCounts counts({});
  const auto limits = three_an_hour(Over::refuse);
  CHECK(counts.room("app1", limits, kMorning).refusal.empty());
  CHECK(taken(counts, "app1", limits, 10, kMorning) == 3);
  const auto refused = counts.take("app1", limits, 1, kMorning);
  CHECK(refused.what == What::refused);
  CHECK(refused.reason == "No more than 3 messages per hour from you: try again later");
  CHECK(counts.room("app1", limits, kMorning).refusal == refused.reason);
  CHECK(counts.holds().empty());
  CHECK(counts.room("app1", limits, kMorning + minutes(20)).refusal.empty());
  CHECK(taken(counts, "app1", limits, 10, kMorning + minutes(20)) == 1);
  counts.give_back("app1", 1);  // it could not be stored
  CHECK(taken(counts, "app1", limits, 10, kMorning + minutes(20)) == 1);
  counts.give_back("unknown", 1);
}

TEST_CASE("recipients count with their message") {
  ClientCounts counts({});
  const auto refusing = ten_recipients(Over::refuse);
  CHECK(counts.room("a", refusing, kMorning).recipients == 10);
  CHECK(counts.take("a", refusing, 7, kMorning).what == What::taken);
  const auto room = counts.room("a", refusing, kMorning);
  CHECK(room.refusal.empty());
  CHECK(room.recipients == 3);
  CHECK(room.recipients_refusal == "No more than 10 recipients per hour from you: try again later");
  CHECK(counts.take("a", refusing, 4, kMorning).what == What::refused);
  CHECK(counts.take("a", refusing, 3, kMorning).what == What::taken);
  const auto holding = ten_recipients(Over::hold);
  CHECK(counts.room("b", holding, kMorning).recipients > 1'000'000);
  CHECK(counts.take("b", holding, 11, kMorning).reason ==
        "client b: sent to more than 10 recipients per hour");
}

TEST_CASE("other limits take over the counts, and a listener without any forgets none") {
  ClientCounts counts({});
  auto limits = three_an_hour(Over::refuse);
  CHECK(taken(counts, "a", limits, 3, kMorning) == 3);
  CHECK(taken(counts, "a", {}, 1, kMorning) == 1);
  limits.messages = conf::Rate{6, hours(1)};
  CHECK(taken(counts, "a", limits, 10, kMorning) == 2);
  const auto states = counts.states(kMorning);
  REQUIRE(state_of(states, "a"));
  CHECK(state_of(states, "a")->messages == 6);
  CHECK(state_of(states, "a")->limits.messages == conf::Rate{6, hours(1)});
}

TEST_CASE("clients that have sent nothing for long are forgotten, those that are held are not") {
  ClientCounts counts({});
  const auto limits = three_an_hour(Over::hold);
  CHECK(taken(counts, "wild", limits, 4, kMorning) == 3);
  const int many = static_cast<int>(ClientCounts::kMaxClients / 50);
  for (int i = 0; i < many; ++i) {
    (void)counts.take("client" + std::to_string(i), limits, 1, kMorning);
  }
  CHECK(counts.states(kMorning).size() == static_cast<std::size_t>(many) + 1);
  for (int i = 0; i < 3 * many; ++i) {
    (void)counts.take("other" + std::to_string(i), limits, 1, kMorning + hours(9));
  }
  const auto states = counts.states(kMorning + hours(9));
  CHECK_FALSE(state_of(states, "client0"));
  CHECK(state_of(states, "other0"));
  CHECK(counts.take("wild", limits, 1, kMorning + hours(9)).what == What::held);
}

TEST_CASE("each limit is the nearest that is set: the user's, the network's, the listener's") {
  conf::Listener listener;
  listener.limits = {7, "100/h", "", Over::hold};
  conf::ClientRule network{{}, {*conf::Network::parse("192.0.2.0/24")}, {}, {}};
  network.limits = {2, "10/h", std::nullopt, Over::refuse};
  conf::ClientRule user{{"app", "uid:7"}, {}, {}, {}};
  user.limits = {std::nullopt, "50/h", "500/d", std::nullopt};
  conf::ClientRule filters_only{{"app"}, {}, {}, {}};
  listener.client_rules = {filters_only, network, user};
  const Client inside{"192.0.2.9", "192.0.2.9", "[192.0.2.9]"};
  const Client outside{"198.51.100.1", "198.51.100.1", "[198.51.100.1]"};
  const Client local{"", "uid:7", "uid 7"};
  struct Row {
    Client client;
    const char* user;
    std::size_t connections;
    conf::Rate messages;
    bool recipients;
    Over over;
  };
  for (const auto& row : {Row{outside, "", 7, {100, hours(1)}, false, Over::hold},
                          Row{inside, "", 2, {10, hours(1)}, false, Over::refuse},
                          Row{outside, "app", 7, {50, hours(1)}, true, Over::hold},
                          Row{inside, "app", 2, {50, hours(1)}, true, Over::refuse},
                          Row{local, "", 7, {50, hours(1)}, true, Over::hold}}) {
    CAPTURE(row.client.name);
    CAPTURE(row.user);
    const auto limits = sending_limits(listener, row.client, row.user);
    CHECK(limits.connections == row.connections);
    CHECK(limits.messages == row.messages);
    CHECK(limits.recipients.has_value() == row.recipients);
    CHECK(limits.over == row.over);
  }
}

TEST_CASE("an address is counted as itself, of IPv6 as its network, a certificate by its name") {
  CHECK(counted_name(Client{"192.0.2.9", "192.0.2.9", ""}) == "192.0.2.9");
  CHECK(counted_name(Client{"2001:db8:1:2:3::9", "2001:db8:1:2:3::9", ""}) == "2001:db8:1:2::/64");
  CHECK(counted_name(Client{"", "uid:1000", ""}) == "uid:1000");
  CHECK(counted_name(net::ClientCertificate{"ab12", true, {"app.example", "b.example"}}) ==
        "app.example");
  CHECK(counted_name(net::ClientCertificate{"ab12", false, {}}) == "ab12");
}

}  // namespace
}  // namespace relay::reception
