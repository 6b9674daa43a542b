#include "relay/delivery/dead_addresses.h"

#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using namespace relay::delivery;
namespace net = relay::net;
namespace smtp = relay::smtp;
using std::chrono::minutes;

constexpr net::WallTime kNoon{std::chrono::seconds(1'800'000'000)};

net::SocketAddress address(const std::string& ip, std::uint16_t port = 25) {
  return *net::SocketAddress::from_ip(ip, port);
}

DeadAddresses::Mark mark(net::WallTime since, std::chrono::milliseconds lasts = minutes(1)) {
  return {"Connection refused", since, since + lasts};
}

}  // namespace

TEST_CASE("a dead address is remembered with its port, for a while or until it works") {
  DeadAddresses dead;
  dead.failed(address("192.0.2.1"), mark(kNoon));
  const auto found = dead.find(address("192.0.2.1"), kNoon);
  REQUIRE(found);
  CHECK(found->why == "Connection refused");
  CHECK(found->since == kNoon);
  CHECK(found->until == kNoon + minutes(1));
  CHECK_FALSE(dead.find(address("192.0.2.1", 587), kNoon));
  CHECK_FALSE(dead.find(address("192.0.2.2"), kNoon));
  CHECK_FALSE(dead.find(address("192.0.2.1"), kNoon + minutes(1)));
  dead.worked(address("192.0.2.2"));
  CHECK(dead.find(address("192.0.2.1"), kNoon));
  dead.worked(address("192.0.2.1"));
  CHECK_FALSE(dead.find(address("192.0.2.1"), kNoon));
}

TEST_CASE("a newer failure of an address takes the place of the older") {
  DeadAddresses dead;
  dead.failed(address("192.0.2.1"), mark(kNoon));
  dead.failed(address("192.0.2.1"), mark(kNoon + minutes(1)));
  CHECK(dead.find(address("192.0.2.1"), kNoon + minutes(1)));
  CHECK(dead.size() == 1);
}

TEST_CASE("dead addresses: with a time of zero nothing is remembered, and all can be forgotten") {
  DeadAddresses dead;
  dead.failed(address("192.0.2.1"), mark(kNoon, minutes(0)));
  CHECK(dead.size() == 0);
  dead.failed(address("192.0.2.1"), mark(kNoon));
  dead.failed(address("2001:db8::1"), mark(kNoon));
  dead.forget_all();
  CHECK(dead.size() == 0);
}

TEST_CASE("a clock that was set back does not make an address dead for as long as that") {
  DeadAddresses dead;
  dead.failed(address("192.0.2.1"), mark(kNoon));
  CHECK_FALSE(dead.find(address("192.0.2.1"), kNoon - std::chrono::hours(24)));
}

TEST_CASE("dead addresses: memory is bounded, and what is over makes room") {
  DeadAddresses dead;
  for (std::uint16_t port = 1; port <= DeadAddresses::kMost; ++port) {
    dead.failed(address("192.0.2.1", port), mark(kNoon));
  }
  dead.failed(address("192.0.2.2"), mark(kNoon));
  CHECK_FALSE(dead.find(address("192.0.2.2"), kNoon));
  CHECK(dead.size() == DeadAddresses::kMost);
  dead.failed(address("192.0.2.1", 1), mark(kNoon + std::chrono::seconds(30)));
  CHECK(dead.find(address("192.0.2.1", 1), kNoon + minutes(1)));

  dead.failed(address("192.0.2.2"), mark(kNoon + minutes(1)));
  CHECK(dead.find(address("192.0.2.2"), kNoon + minutes(1)));
  CHECK(dead.size() == 2);
}

TEST_CASE(
    "who is not reached before EHLO is answered is dead; who refuses, or fails at TLS, is not") {
  using EndKind = smtp::SessionEnd::Kind;
  using smtp::Stage;
  using Kind = Reachability::Kind;
  using Origin = SessionUsed::Origin;
  const std::optional<net::TlsOutcome> no_tls;
  const std::optional<net::TlsOutcome> tls = net::TlsVerified{{"TLSv1.3", "", false}};
  struct Row {
    std::optional<EndKind> end;
    Stage stage;
    Kind kind;
    std::optional<net::TlsOutcome> tls{};
    Origin origin = Origin::opened;
  };
  for (const Row& row : std::vector<Row>{
           {std::nullopt, Stage::mail, Kind::reached},
           {std::nullopt, Stage::mail, Kind::reached, tls, Origin::reused},
           {EndKind::timeout, Stage::greeting, Kind::not_reached},
           {EndKind::lost, Stage::greeting, Kind::not_reached},
           {EndKind::timeout, Stage::ehlo, Kind::not_reached},
           {EndKind::lost, Stage::ehlo, Kind::not_reached},
           {EndKind::lost, Stage::ehlo, Kind::unknown, tls},
           {EndKind::timeout, Stage::greeting, Kind::unknown, tls},
           {EndKind::lost, Stage::mail, Kind::unknown},
           {EndKind::lost, Stage::ehlo, Kind::unknown, no_tls, Origin::reused},
           {EndKind::refused, Stage::greeting, Kind::unknown},
           {EndKind::refused, Stage::ehlo, Kind::unknown},
           {EndKind::protocol, Stage::greeting, Kind::unknown},
           {EndKind::tls_failed, Stage::tls_handshake, Kind::reached},
           {EndKind::tls_requirement, Stage::starttls, Kind::reached},
           {EndKind::credentials, Stage::auth, Kind::reached},
           {EndKind::refused, Stage::mail, Kind::reached},
           {EndKind::quit, Stage::quit, Kind::reached},
       }) {
    SessionUsed session;
    session.origin = row.origin;
    session.tls = row.tls;
    if (row.end) {
      CAPTURE(static_cast<int>(*row.end));
      CAPTURE(smtp::name(row.stage));
      session.end = smtp::SessionEnd{*row.end, row.stage, std::nullopt, "It ended."};
    }
    const Reachability shown = reachability(session);
    CHECK(shown.kind == row.kind);
    CHECK(shown.why == (row.kind == Kind::not_reached ? "It ended" : ""));
  }
  CHECK(reachability(ConnectFailed{"Connection refused"}).kind == Kind::not_reached);
  CHECK(reachability(ConnectFailed{"Connection refused"}).why == "Connection refused");
  CHECK(reachability(ConnectFailed{"Too many open files", ConnectFailed::Cause::own}).kind ==
        Kind::unknown);
}
