#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/https_client.h"
#include "tests/relay/net/https_fixture.h"
#include "tests/relay/net/silent_server.h"

namespace {

using relay::net::HttpsFailure;
using relay::net::Operation;
using relay::net::SocketAddress;
using std::chrono::milliseconds;
using support::check_failure;
using support::HttpsResult;
using support::HttpsWorld;
using support::PolicyHost;
using support::response;
using support::TlsPeer;
using Kind = HttpsFailure::Kind;

TEST_CASE("no answer to the connection attempt runs into the time for connecting") {
  HttpsWorld world;
  world.options.connect_timeout = milliseconds(100);
  const support::SilentServer server;
  check_failure(world.get(world.request({server.address()})), Kind::connect, "connect-timeout");
}

TEST_CASE("a connection that breaks in the answer is a protocol failure") {
  HttpsWorld world;
  for (const char* sent : {"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx",
                           "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nx"}) {
    CAPTURE(sent);
    const PolicyHost host([&](const TlsPeer& peer) {
      if (*sent != '\0') {
        peer.send(sent);
      }
      peer.reset();
    });
    check_failure(world.get(host), Kind::protocol, "connection-lost");
  }
}

TEST_CASE("of each family the first eight addresses are tried") {
  HttpsWorld world;
  const PolicyHost host(response("policy"));
  const std::uint16_t port = host.address().port();
  const auto behind = [&](const std::string& refusing, std::size_t count) {
    std::vector<SocketAddress> addresses(count, *SocketAddress::from_ip(refusing, port));
    addresses.push_back(host.address());
    return world.get(world.request(addresses));
  };
  CHECK(behind("127.0.0.2", 7));
  check_failure(behind("127.0.0.2", 8), Kind::connect, "connection-refused");
  CHECK(behind("::1", 8));
}

TEST_CASE("an address that refuses late is followed by the next at once") {
  HttpsWorld world;
  world.options.connect_timeout = std::chrono::minutes(5);
  const PolicyHost host(response("policy"));
  const std::uint16_t port = host.address().port();
  std::optional<support::SilentServer> late(std::in_place, "127.0.0.2", port);
  relay::net::Timer close(world.loop, [&] { late.reset(); });  // the next SYN is refused
  close.start(milliseconds(100));
  CHECK(world.get(world.request({*SocketAddress::from_ip("127.0.0.2", port), host.address()})));
  CHECK_FALSE(late);
}

TEST_CASE("trust anchors are read anew when the old ones are to be forgotten") {
  HttpsWorld world;
  const PolicyHost host(response("policy"));
  REQUIRE(world.get(host));
  std::ofstream(world.roots.path())
      << support::Certificate::self_signed(
             {.common_name = "Other", .use = support::CertificateRequest::Use::authority})
             .pem();
  SUBCASE("for the next request") {
    world.client().renew_trust(relay::net::Revocation::stapled);
    check_failure(world.get(host), Kind::certificate,
                  "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
  }
  SUBCASE("a request under way goes on with the old ones") {
    std::optional<HttpsResult> result;
    const Operation operation =
        world.client().get(world.request({host.address()}), [&](HttpsResult outcome) {
          result = std::move(outcome);
          world.loop.stop();
        });
    world.client().renew_trust(relay::net::Revocation::stapled);
    support::run(world.loop);
    REQUIRE(result);
    CHECK(*result);
  }
  SUBCASE("a request cancelled after that takes its driver with it") {
    Operation operation = world.client().get(world.request({host.address()}),
                                             [](const HttpsResult&) { FAIL("cancelled"); });
    world.client().renew_trust(relay::net::Revocation::stapled);
    operation.cancel();
    support::settle(world.loop);
  }
}

}  // namespace
