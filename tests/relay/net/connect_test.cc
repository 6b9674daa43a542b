#include <memory>
#include <optional>
#include <string>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "relay/net/connection.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/relay/net/silent_server.h"

namespace {

using relay::net::ConnectFailure;
using relay::net::EventLoop;
using relay::net::SocketAddress;
using std::chrono::milliseconds;
using std::chrono::seconds;
using support::PeerServer;
using support::PeerSocket;
using support::SilentServer;

/// The failure of a connection attempt to address.
ConnectFailure failure_of(EventLoop& loop, const SocketAddress& address,
                          const std::optional<SocketAddress>& source, milliseconds timeout) {
  std::optional<ConnectFailure> failure;
  bool returned = false;
  const auto operation = relay::net::connect(loop, address, source, timeout, [&](auto result) {
    CHECK(returned);
    REQUIRE_FALSE(result.has_value());
    failure = result.error();
    loop.stop();
  });
  returned = true;
  support::run(loop);
  return failure.value_or(ConnectFailure{"no answer"});
}

TEST_CASE("connect: a refusal names the system's reason") {
  EventLoop loop;
  // Bound and not listening: nobody else can get the port meanwhile.
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  auto address = *SocketAddress::from_ip("127.0.0.1", 0);
  REQUIRE(::bind(fd, address.get(), address.length()) == 0);
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) == 0);
  address = *SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&bound), length);
  const auto failure = failure_of(loop, address, std::nullopt, seconds(20));
  CHECK(failure.reason == "Connection refused");
  CHECK(failure.cause == ConnectFailure::Cause::peer);
  ::close(fd);
}

TEST_CASE("connect: a source address that is not ours fails, after connect() has returned") {
  EventLoop loop;
  const auto failure = failure_of(loop, *SocketAddress::from_ip("127.0.0.1", 1),
                                  SocketAddress::from_ip("203.0.113.1", 0), seconds(20));
  CHECK(failure.reason == "Cannot assign requested address");
  CHECK(failure.cause == ConnectFailure::Cause::own);
}

TEST_CASE("connect: no answer within the time given is a timeout and says how long it waited") {
  EventLoop loop;
  const SilentServer server;
  const auto failure = failure_of(loop, server.address(), std::nullopt, milliseconds(30));
  CHECK(failure.reason == "timed out after 30 ms");
}

TEST_CASE("connect: destroying the operation cancels it") {
  EventLoop loop;
  bool called = false;
  const auto done = [&](auto) { called = true; };
  SUBCASE("while it waits") {
    const SilentServer server;
    auto operation =
        relay::net::connect(loop, server.address(), std::nullopt, milliseconds(1), done);
    operation.cancel();
    support::settle(loop);
  }
  SUBCASE("when the connection stands already") {
    PeerServer peer([](PeerSocket& socket) { socket.await_end(); });
    auto operation = relay::net::connect(loop, peer.address(), std::nullopt, seconds(20), done);
    operation.cancel();
    support::settle(loop);
  }
  SUBCASE("before a failure is reported") {
    auto operation =
        relay::net::connect(loop, *SocketAddress::from_ip("127.0.0.1", 1),
                            SocketAddress::from_ip("203.0.113.1", 0), seconds(20), done);
    operation.cancel();
    support::settle(loop);
  }
  CHECK_FALSE(called);
}

TEST_CASE("connect: the callback may destroy its operation") {
  EventLoop loop;
  PeerServer peer([](PeerSocket& socket) { socket.await_end(); });
  relay::net::Operation operation;
  bool opened = false;
  operation = relay::net::connect(loop, peer.address(), std::nullopt, seconds(20),
                                  [&, text = std::string(100, 'x')](auto result) {
                                    operation.cancel();
                                    opened = result.has_value() && text.size() == 100;
                                    loop.stop();
                                  });
  support::run(loop);
  CHECK(opened);
}

}  // namespace
