// Reception behind a proxy.
#include <string>

#include <doctest/doctest.h>

#include "tests/relay/reception/reception_fixture.h"

namespace relay::reception::testing {
namespace {

const std::string kProxyHeader = "PROXY TCP4 127.9.9.9 192.0.2.25 40000 25\r\n";
const std::string kProxied = kEnvelope + "DATA\r\nSubject: s\r\n\r\nbody\r\n.\r\nQUIT\r\n";

ListenerSettings behind(const char* proxies) {
  ListenerSettings listener;
  listener.rules.proxy_protocol = {*conf::Network::parse(proxies)};
  return listener;
}

TEST_CASE("the address in a proxy's header is the client's, for rules, Received and log") {
  World world({}, behind("127.0.0.0/8"));
  CHECK(converse(world, kProxyHeader + kProxied).find("250 2.0.0 Ok: queued") != std::string::npos);
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  CHECK(queue[0].client_ip == "127.9.9.9");
  CHECK(world.content(queue[0].id).starts_with("Received: from client.example ([127.9.9.9])"));
  CHECK(world.log().find("client=127.9.9.9") != std::string::npos);
  CHECK(world.log().find("127.0.0.1") == std::string::npos);
}

TEST_CASE("a proxy's own address gives its clients no right") {
  World world({}, behind("127.0.0.0/8"));
  const auto heard = converse(world, "PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\r\n" + kProxied);
  CHECK(heard.find("550 5.7.1 Relaying denied") != std::string::npos);
  CHECK(world.queue().empty());
}

TEST_CASE("what a proxy says for itself comes from its own address") {
  World world({}, behind("127.0.0.0/8"));
  CHECK(converse(world, "PROXY UNKNOWN\r\n" + kProxied).find("250 2.0.0 Ok: queued") !=
        std::string::npos);
  CHECK(world.queue().at(0).client_ip == "127.0.0.1");
}

TEST_CASE("a proxy without a header, and one with a wrong one, are sent away without a word") {
  for (const std::string& lines :
       {std::string("EHLO a.example\r\n"), std::string("PROXY TCP4 192.0.2.1\r\n")}) {
    World world({}, behind("127.0.0.0/8"));
    CHECK(converse(world, lines).empty());
    CHECK(world.log().find("event=refused client=127.0.0.1 reason=proxy-header") !=
          std::string::npos);
  }
}

TEST_CASE("from others than the proxies a header ends the session") {
  World world({}, behind("192.0.2.0/24"));
  CHECK(converse(world, kProxyHeader + kProxied).find("421 4.7.0") != std::string::npos);
  CHECK(world.queue().empty());
  CHECK(converse(world, kProxied).find("250 2.0.0 Ok: queued") != std::string::npos);
}

TEST_CASE("limits of connections count by the address in the header") {
  conf::Config config;
  config.limits.connections_per_client = 0;
  World world(config, behind("127.0.0.0/8"));
  CHECK(converse(world, kProxyHeader)
            .starts_with("421 4.7.0 relay.example Too many connections from"));
  CHECK(world.log().find("client=127.9.9.9 reason=limits.connections_per_client") !=
        std::string::npos);
}

}  // namespace
}  // namespace relay::reception::testing
