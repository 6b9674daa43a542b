#include "relay/reception/reception.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/relay/reception/reception_fixture.h"

namespace relay::reception::testing {

TEST_CASE("a message gets its 250 when it is in the spool, with one Received field in front") {
  World world({}, unchanging());
  const auto heard =
      converse(world, kEnvelope + "DATA\r\nSubject: x\r\n\r\n..dot \xe9\r\n.\r\nQUIT\r\n");
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  const auto& envelope = queue.front();
  CHECK(heard.ends_with("250 2.0.0 Ok: queued as " + envelope.id.text() + "\r\n221 2.0.0 Bye\r\n"));
  CHECK(envelope.sender == "a@b.example");
  CHECK(envelope.client_ip == "127.0.0.1");
  CHECK(envelope.client_helo == "client.example");
  CHECK(envelope.listener == "127.0.0.1:25");  // as it is named, whatever is bound
  CHECK(envelope.eight_bit);
  CHECK(envelope.expires_at - envelope.received_at == 96h);
  REQUIRE(envelope.recipients.size() == 1);
  CHECK(envelope.recipients[0].address == "X@d.example");
  CHECK(envelope.recipients[0].domain == "d.example");
  CHECK(envelope.recipients[0].notify == "NEVER");
  CHECK(envelope.recipients[0].next_try == envelope.received_at);
  const auto content = world.content(envelope.id);
  CHECK(content.size() == envelope.size);
  CHECK(content.starts_with(
      "Received: from client.example ([127.0.0.1])\r\n\tby relay.example with ESMTP id " +
      envelope.id.text() + "\r\n\tfor <X@d.example>;\r\n\t"));
  CHECK(content.ends_with(" +0000\r\nSubject: x\r\n\r\n.dot \xe9\r\n"));
  CHECK(world.log().find("event=accepted id=" + envelope.id.text()) != std::string::npos);
}

TEST_CASE("R01: TLS-Required: No is kept with the message, told in the log, and left in place") {
  World world({}, unchanging());
  (void)converse(world, kEnvelope + "DATA\r\nTLS-Required: No\r\n\r\nx\r\n.\r\nQUIT\r\n");
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  CHECK(queue.front().tls == spool::MessageTls::optional);
  CHECK(world.content(queue.front().id).ends_with("+0000\r\nTLS-Required: No\r\n\r\nx\r\n"));
  CHECK(world.log().find(" tls=optional") != std::string::npos);
}

TEST_CASE("REQUIRETLS on a connection without TLS is refused, whoever asks") {
  World world;
  const auto heard = converse(world, "EHLO c\r\nMAIL FROM:<a@b.example> REQUIRETLS\r\nQUIT\r\n");
  CHECK(heard.find("REQUIRETLS\r\n") == std::string::npos);
  CHECK(heard.find("\r\n530 5.7.10 ") != std::string::npos);
  CHECK(world.log().find("stage=MAIL") != std::string::npos);
}

TEST_CASE("the first attempt waits for as long as the queue's first wait") {
  conf::Config config;
  config.queue.retry = {std::chrono::minutes(2), std::chrono::minutes(5)};
  World world(config);
  converse(world, kEnvelope + "DATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n");
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  CHECK(queue.front().recipients.at(0).next_try == queue.front().received_at + 2min);
}

TEST_CASE("refused content leaves nothing in the spool and a line in the log") {
  World world;
  const auto heard = converse(
      world, kEnvelope + "DATA\r\nSubject: x\r\n\r\nbare\nlf\r\n.\r\nMAIL FROM:<a@b.example>\r\n");
  CHECK(heard.find("\r\n550 5.5.2 ") != std::string::npos);
  CHECK(world.queue().empty());
  CHECK(world.log().find("event=rejected") != std::string::npos);
  CHECK(world.log().find("stage=content") != std::string::npos);
}

TEST_CASE("a message of many slices arrives whole") {
  World world({}, unchanging());
  std::string body;
  while (body.size() < 5'000'000) {
    body += std::to_string(body.size()) + std::string(body.size() % 900, 'x') + "\r\n";
  }
  const auto heard =
      converse(world, kEnvelope + "DATA\r\nSubject: x\r\n\r\n" + body + ".\r\nQUIT\r\n");
  CHECK(heard.ends_with("221 2.0.0 Bye\r\n"));
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  const auto content = world.content(queue.front().id);
  CHECK(content.ends_with("\r\nSubject: x\r\n\r\n" + body));
}

TEST_CASE("two messages and a refused one on a connection, pipelined") {
  World world;
  const std::string one = "MAIL FROM:<>\r\nRCPT TO:<x@d.example>\r\nBDAT 6 LAST\r\nA: b\r\n";
  const auto heard = converse(
      world, "EHLO c\r\n" + one + "MAIL FROM:<>\r\nRCPT TO:<x@d.example>\r\nBDAT 1 LAST\r\n\n" +
                 one + "QUIT\r\n");
  CHECK(world.queue().size() == 2);
  CHECK(heard.find("550 5.5.2") != std::string::npos);
}

TEST_CASE("a client that is silent is told and closed") {
  conf::Config config;
  config.limits.command_timeout = 20ms;
  World world(config);
  CHECK(converse(world, "EHL").ends_with("421 4.4.2 relay.example Timeout\r\n"));
  CHECK(world.reception().sessions() == 0);
}

TEST_CASE("a client over its share of connections is turned away, and the share comes back") {
  conf::Config config;
  config.limits.connections_per_client = 1;
  World world(config);
  Client first(world, "", [&world] { world.loop().stop(); });
  std::string second_heard;
  std::unique_ptr<Client> second;
  first.on_heard = [&] {
    second = std::make_unique<Client>(world, "", [&] {
      second_heard = second->heard();
      first.say("QUIT\r\n");
    });
    first.on_heard = nullptr;
  };
  world.loop().run();
  CHECK(second_heard.starts_with("421 4.7.0 relay.example Too many connections"));
  CHECK(world.log().find("reason=limits.connections_per_client") != std::string::npos);
  CHECK(converse(world, "QUIT\r\n").find("221 ") != std::string::npos);
}

TEST_CASE("a client that hangs up in its content leaves nothing behind") {
  World world;
  Client client(world, kEnvelope + "DATA\r\n", [] {});
  client.on_heard = [&] {
    if (client.heard().find("354") != std::string::npos) {
      client.say("Subject: x\r\n\r\n" + std::string(1000, 'x'));
      world.loop().post([&] {
        client.hang_up();
        world.reception().drain([&] { world.loop().stop(); });
      });
      client.on_heard = nullptr;
    }
  };
  world.loop().run();
  CHECK(world.reception().sessions() == 0);
  CHECK(world.queue().empty());
}

TEST_CASE("drain ends idle sessions, lets an open message finish, and then reports once") {
  World world;
  int drained = 0;
  Client idle(world, "EHLO c\r\n", [] {});
  Client busy(world, kEnvelope + "DATA\r\n", [] {});
  busy.on_heard = [&] {
    if (busy.heard().find("354") == std::string::npos || drained != 0 || idle.heard().empty()) {
      return;
    }
    busy.on_heard = nullptr;
    world.reception().drain([&] {
      ++drained;
      world.loop().stop();
    });
    CHECK(drained == 0);
    busy.say("Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\n");
  };
  idle.on_heard = [&] {
    if (const auto action = busy.on_heard) {
      action();
    }
  };
  world.loop().run();
  CHECK(drained == 1);
  CHECK(world.queue().size() == 1);
}

}  // namespace relay::reception::testing
