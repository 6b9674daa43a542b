// Reception: clients that come by TLS.
#include <string>

#include <doctest/doctest.h>

#include "tests/relay/reception/tls_fixture.h"

namespace relay::reception::testing {
namespace {

using Mode = conf::ListenerTls::Mode;

const std::string kMessage = kEnvelope + "DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n";

void check_received_inside_tls(World& world) {
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  const auto content = world.content(queue[0].id);
  CHECK(content.find("\r\n\t(using TLSv1.3 with cipher TLS_") != std::string::npos);
  CHECK(content.find(" with ESMTPS id ") != std::string::npos);
  CHECK(world.log().find(" protocol=ESMTPS cipher=\"TLSv1.3 TLS_") != std::string::npos);
}

}  // namespace

TEST_CASE("mail over STARTTLS is received inside TLS, which its Received field and the log tell") {
  const auto issuer = authority();
  World world({}, tls_listener(Mode::starttls, issuer));
  const auto heard =
      converse(world, issuer, {"EHLO before.example\r\nSTARTTLS\r\n", "start TLS\r\n", kMessage});
  CHECK(heard.find("250-STARTTLS\r\n") != std::string::npos);
  CHECK(heard.find("250-REQUIRETLS\r\n") > heard.find("start TLS\r\n"));
  CHECK(heard.ends_with("221 2.0.0 Bye\r\n"));
  check_received_inside_tls(world);
}

TEST_CASE("with implicit TLS the greeting comes inside") {
  const auto issuer = authority();
  World world({}, tls_listener(Mode::implicit, issuer));
  const auto heard = converse(world, issuer, {"", "", kMessage});
  CHECK(heard.starts_with("220 relay.example ESMTP"));
  CHECK(heard.find("STARTTLS") == std::string::npos);
  check_received_inside_tls(world);
}

TEST_CASE("commands in the same packet as STARTTLS end the session") {
  const auto issuer = authority();
  World world({}, tls_listener(Mode::starttls, issuer));
  CHECK(converse(world, "EHLO c\r\nSTARTTLS\r\nMAIL FROM:<a@b.example>\r\n")
            .ends_with("421 4.7.0 relay.example Commands came after STARTTLS\r\n"));
  CHECK(world.log().find("event=closed client=127.0.0.1 helo=c stage=STARTTLS "
                         "reason=starttls-injection") != std::string::npos);
}

TEST_CASE("a client that answers STARTTLS with something else leaves one line with the reason") {
  const auto issuer = authority();
  World world({}, tls_listener(Mode::starttls, issuer));
  Client client(world, "EHLO c\r\nSTARTTLS\r\n", [&world] { world.loop().stop(); });
  client.on_heard = [&client] {
    if (client.heard().ends_with("start TLS\r\n")) {
      client.say("MAIL FROM:<a@b.example>\r\n");
    }
  };
  world.loop().run();
  CHECK(client.heard().find("250 2.1.0") == std::string::npos);
  CHECK(world.log().find("stage=STARTTLS reason=tls-failed detail=tls-wrong-version-number") !=
        std::string::npos);
  CHECK(world.reception().sessions() == 0);
}

TEST_CASE("a client that never begins its handshake is let go") {
  const auto issuer = authority();
  for (const auto mode : {Mode::starttls, Mode::implicit}) {
    conf::Config config;
    config.limits.command_timeout = 20ms;
    World world(config, tls_listener(mode, issuer));
    const auto heard = converse(world, mode == Mode::starttls ? "EHLO c\r\nSTARTTLS\r\n" : "");
    CHECK((mode == Mode::starttls ? heard.ends_with("start TLS\r\n") : heard.empty()));
    CHECK(world.log().find("reason=silence detail=handshake-timeout") != std::string::npos);
    CHECK(world.reception().sessions() == 0);
  }
}

}  // namespace relay::reception::testing
