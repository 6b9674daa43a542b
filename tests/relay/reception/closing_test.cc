// Reception: sessions that end otherwise than by QUIT, and the one log line each leaves.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/reception/reception_fixture.h"

namespace relay::reception::testing {
namespace {

/// The log's lines of an event, without the time.
std::vector<std::string> lines(const World& world, const std::string& event) {
  std::vector<std::string> result;
  const auto text = world.log();
  for (std::size_t at = 0; (at = text.find("event=" + event + " ", at)) != std::string::npos;) {
    const auto end = text.find('\n', at);
    result.push_back(text.substr(at, end - at));
    at = end;
  }
  return result;
}

}  // namespace

TEST_CASE("a silent client leaves one line with the reason") {
  conf::Config config;
  config.limits.command_timeout = 20ms;
  World world(config);
  CHECK(converse(world, "EHLO c\r\nMAIL FROM:<a@b.example>\r\n")
            .ends_with("421 4.4.2 relay.example Timeout\r\n"));
  CHECK(lines(world, "closed") ==
        std::vector<std::string>{"event=closed client=127.0.0.1 helo=c stage=MAIL "
                                 "from=a@b.example reason=silence "
                                 "reply=\"421 4.4.2 relay.example Timeout\""});
}

TEST_CASE("the session's time ends a client that never falls silent") {
  conf::Config config;
  config.limits.session_timeout = 40ms;
  config.limits.junk_commands = 1'000'000'000;
  World world(config);
  Client client(world, "EHLO c\r\n", [&world] { world.loop().stop(); });
  client.on_heard = [&client] {
    if (client.heard().ends_with("Ok\r\n") || client.heard().ends_with("LIMITS RCPTMAX=1000\r\n")) {
      client.say("NOOP\r\n");
    }
  };
  world.loop().run();
  CHECK(client.heard().ends_with("421 4.4.2 relay.example Session lasted too long\r\n"));
  REQUIRE(lines(world, "closed").size() == 1);
  CHECK(lines(world, "closed")[0].find(" stage=command reason=session ") != std::string::npos);
}

TEST_CASE("the session's time ends a message under way, which leaves nothing") {
  conf::Config config;
  config.limits.session_timeout = 40ms;
  World world(config);
  CHECK(converse(world, kEnvelope + "DATA\r\nSubject: x\r\n").ends_with("lasted too long\r\n"));
  REQUIRE(lines(world, "closed").size() == 1);
  CHECK(lines(world, "closed")[0].find(" stage=DATA from=a@b.example reason=session ") !=
        std::string::npos);
  CHECK(world.queue().empty());
}

TEST_CASE("a client that hangs up within a message leaves a line") {
  World world;
  Client client(world, kEnvelope + "DATA\r\n", [] {});
  client.on_heard = [&] {
    if (client.heard().find("354") != std::string::npos) {
      client.on_heard = nullptr;
      world.loop().post([&] {
        client.hang_up();
        world.reception().drain([&] { world.loop().stop(); });
      });
    }
  };
  world.loop().run();
  REQUIRE(lines(world, "closed").size() == 1);
  CHECK(lines(world, "closed")[0].find(" stage=DATA from=a@b.example reason=lost detail=") !=
        std::string::npos);
}

TEST_CASE("a refusal is logged with the sender of its transaction, also when more is pipelined") {
  World world;
  (void)converse(world,
                 "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x>\r\nRSET\r\n"
                 "MAIL FROM:<>\r\nRCPT TO:<x@d.example>\r\nBDAT 3 LAST\r\na\nb"
                 "MAIL FROM:<c@b.example>\r\nQUIT\r\n");
  const auto rejected = lines(world, "rejected");
  REQUIRE(rejected.size() == 2);
  CHECK(rejected[0].find(" stage=RCPT from=a@b.example reply=\"550 5.1.3 ") != std::string::npos);
  CHECK(rejected[1].find(" stage=content from=<> to=x@d.example reply=\"550 5.5.2 ") !=
        std::string::npos);
}

TEST_CASE("clients over the limit of all connections are turned away, and the place comes back") {
  conf::Config config;
  config.limits.connections = 1;
  World world(config);
  {
    const auto place = world.connections().take("192.0.2.1", {1, 1}, "");
    CHECK(converse(world, "") == "421 4.7.0 relay.example Too many connections\r\n");
    const auto refused = lines(world, "refused");
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].find("reason=limits.connections") != std::string::npos);
    CHECK(refused[0].find("per_client") == std::string::npos);
  }
  CHECK(converse(world, "QUIT\r\n").find("221 ") != std::string::npos);
}

}  // namespace relay::reception::testing
