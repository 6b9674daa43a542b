#include <chrono>

#include <doctest/doctest.h>

#include "relay/net/tls_client.h"
#include "tests/relay/net/tls_fixture.h"
#include "tests/support/manual_clock.h"

namespace {

using relay::net::TlsFloor;
using relay::net::TlsSessionCache;
using std::chrono::minutes;
using std::chrono::seconds;
using support::kHost;
using support::TlsServer;

/// A server, and a client that offers it the tickets it has by its own clock.
struct World {
  explicit World(int version, seconds ticket_life = seconds(0))
      : server(authority.issue({.dns_names = {kHost}}),
               {.newest_version = version, .ticket_life = ticket_life}) {}

  bool resumes() {
    auto options = support::options_for(kHost, TlsFloor::tls12, &sessions);
    options.clock = &clock;
    const auto outcome = support::shake_hands(server.address(), *context, options);
    CHECK(support::text_of(outcome) == "verified");
    return support::parameters_of(outcome).resumed;
  }

  support::Certificate authority = support::new_authority();
  TlsServer server;
  std::shared_ptr<relay::net::TlsClientContext> context = support::trusting(authority);
  TlsSessionCache sessions{10};
  support::ManualClock clock;
};

TEST_CASE("a verdict is used for an hour at most, however many resumptions carry it on") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    World world(version);
    CHECK_FALSE(world.resumes());
    for (const int step : {25, 25, 9}) {
      world.clock.advance(minutes(step));
      CHECK(world.resumes());
    }
    world.clock.advance(minutes(1));
    CHECK_FALSE(world.resumes());
    CHECK(world.resumes());
  }
}

TEST_CASE("a ticket is used no longer than the server's hint says") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    World world(version, seconds(600));
    CHECK_FALSE(world.resumes());
    world.clock.advance(seconds(599));
    CHECK(world.resumes());
    world.clock.advance(seconds(600));
    CHECK_FALSE(world.resumes());
  }
}

}  // namespace
