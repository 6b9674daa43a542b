// Reception: what a client meets with at its limits.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/reception/password.h"
#include "tests/relay/reception/tls_fixture.h"

namespace relay::reception::testing {
namespace {

using Over = conf::ClientLimits::Over;

std::string limit_mail(int messages, const std::string& recipients = "RCPT TO:<x@d.example>\r\n") {
  std::string lines = "EHLO c\r\n";
  for (int i = 0; i < messages; ++i) {
    lines += "MAIL FROM:<a@b.example>\r\n" + recipients + "DATA\r\nSubject: x\r\n\r\n.\r\n";
  }
  return lines + "QUIT\r\n";
}

ListenerSettings limited(const conf::ClientLimits& limits) {
  ListenerSettings listener;
  listener.rules.limits = limits;
  return listener;
}

std::size_t held_in(const std::vector<spool::Envelope>& queue) {
  return static_cast<std::size_t>(
      std::ranges::count_if(queue, [](const auto& envelope) { return !envelope.held.empty(); }));
}

TEST_CASE("messages over the rate are taken and held, those that come later, too") {
  World world({}, limited({0, "2/h", "", Over::hold}));
  const auto heard = converse(world, limit_mail(4));
  CHECK(heard.find("\r\n450") == std::string::npos);
  auto queue = world.queue();
  REQUIRE(queue.size() == 4);
  CHECK(queue[1].held.empty());
  CHECK(queue[2].held == "client 127.0.0.1: sent more than 2 messages per hour");
  CHECK(queue[2].held_at == queue[2].received_at);
  CHECK(held_in(queue) == 2);
  const auto log = world.log();
  CHECK(log.find("level=warning event=client-held client=127.0.0.1 reason=\"sent more than 2 "
                 "messages per hour\"") != std::string::npos);
  CHECK(log.find("held=\"client 127.0.0.1: sent") != std::string::npos);
  (void)converse(world, limit_mail(1));
  CHECK(held_in(world.queue()) == 3);
  CHECK(world.clients().totals().messages_held == 3);
  REQUIRE(world.clients().holds().size() == 1);
  CHECK(world.stored_holds() == world.clients().holds());
}

TEST_CASE("a released client is held no longer, and what it sent before is on disk by then") {
  World world({}, limited({0, "1/h", "", Over::hold}));
  (void)converse(world, limit_mail(2));
  std::size_t removed = 0;
  world.clients().release("127.0.0.1", "uid:0", [&](const spool::Stored<std::size_t>& count) {
    removed = count.value_or(0);
    CHECK(held_in(world.queue()) == 1);
    world.loop().stop();
  });
  world.loop().run();
  CHECK(removed == 1);
  CHECK(world.stored_holds().empty());
  CHECK(world.log().find("event=client-released client=127.0.0.1 by=uid:0") != std::string::npos);
  (void)converse(world, limit_mail(1));
  CHECK(held_in(world.queue()) == 1);
}

TEST_CASE("messages over the rate are refused at MAIL where the listener says so") {
  World world({}, limited({0, "2/h", "", Over::refuse}));
  const auto heard = converse(world, limit_mail(3));
  CHECK(
      heard.find("\r\n450 4.7.1 No more than 2 messages per hour from you: try again later\r\n") !=
      std::string::npos);
  CHECK(world.queue().size() == 2);
  CHECK(held_in(world.queue()) == 0);
  CHECK(world.clients().holds().empty());
  CHECK(world.log().find("event=rejected client=127.0.0.1 helo=c stage=MAIL") != std::string::npos);
}

TEST_CASE("recipients over the rate are refused one by one, the others get the message") {
  World world({}, limited({0, "", "2/h", Over::refuse}));
  const auto heard =
      converse(world, limit_mail(1,
                                 "RCPT TO:<x@d.example>\r\nRCPT TO:<y@d.example>\r\nRCPT "
                                 "TO:<x@d.example>\r\nRCPT TO:<z@d.example>\r\n"));
  CHECK(heard.find("\r\n450 4.7.1 No more than 2 recipients per hour from you: try again later") !=
        std::string::npos);
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  CHECK(queue[0].recipients.size() == 2);
}

TEST_CASE(
    "a connection that uses up the rate is felt by the others when their message is complete") {
  World world({}, limited({0, "1/h", "", Over::refuse}));
  Client slow(world, "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n",
              [&world] { world.loop().stop(); });
  std::unique_ptr<Client> quick;
  slow.on_heard = [&] {
    if (slow.heard().find("\r\n354 ") != std::string::npos) {
      slow.on_heard = nullptr;
      quick = std::make_unique<Client>(world, limit_mail(1),
                                       [&slow] { slow.say("Subject: x\r\n\r\n.\r\nQUIT\r\n"); });
    }
  };
  world.loop().run();
  CHECK(slow.heard().find("\r\n450 4.7.1 No more than 1 message per hour from you") !=
        std::string::npos);
  CHECK(world.queue().size() == 1);
}

TEST_CASE("connections over the limit get 421, and a place when another one ends") {
  World world({}, limited({1, "", "", Over::hold}));
  Client first(world, "", [] {});
  std::unique_ptr<Client> second;
  first.on_heard = [&] {
    first.on_heard = nullptr;
    second = std::make_unique<Client>(world, "QUIT\r\n", [&] { world.loop().stop(); });
  };
  world.loop().run();
  REQUIRE(second != nullptr);
  CHECK(second->heard() ==
        "421 4.7.0 relay.example Too many connections: no more than 1 at once from you\r\n");
  CHECK(world.log().find("event=refused client=127.0.0.1 reason=listen.limits.connections") !=
        std::string::npos);
  CHECK(world.clients().totals().connections_refused == 1);
  REQUIRE(world.clients().states().size() == 1);
  CHECK(world.clients().states()[0].connections == 1);
}

TEST_CASE("a user is one client whatever it connects from, and too many connections end at AUTH") {
  const auto issuer = authority();
  auto listener = tls_listener(conf::ListenerTls::Mode::implicit, issuer);
  listener.files.users = std::make_shared<const Users>(
      *Users::parse("tim:" + *hash_password("tanstaaftanstaaf", HashMethod::sha512_crypt)));
  listener.rules.client_rules = {{{"tim"}, {}, {}, {}}};
  listener.rules.client_rules[0].limits = conf::ClientLimits{1, "1/h", std::nullopt, std::nullopt};
  World world({}, listener);
  const std::string login = "EHLO c\r\nAUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n";
  const auto mail = limit_mail(2).substr(8);
  CHECK(converse(world, issuer, {"", "", login + mail}).find("235 2.7.0 ") != std::string::npos);
  auto queue = world.queue();
  REQUIRE(queue.size() == 2);
  CHECK(queue[0].held.empty());
  CHECK(queue[1].held == "client tim: sent more than 1 message per hour");
  SendingLimits one;
  one.connections = 1;
  const auto other = world.clients().admit("tim", one);
  REQUIRE(other);
  const auto heard = converse(world, issuer, {"", "", login + mail});
  CHECK(heard.ends_with(
      "421 4.7.0 relay.example Too many connections: no more than 1 at once from you\r\n"));
  CHECK(heard.find("235") == std::string::npos);
  CHECK(world.log().find("stage=AUTH reason=connections") != std::string::npos);
  CHECK(world.queue().size() == 2);
}

}  // namespace
}  // namespace relay::reception::testing
