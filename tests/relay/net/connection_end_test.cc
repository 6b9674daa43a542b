#include <future>
#include <string>

#include <doctest/doctest.h>

#include "relay/net/connection.h"
#include "tests/relay/net/loop_fixture.h"

namespace {

using relay::net::Connection;
using relay::net::EventLoop;
using std::chrono::milliseconds;
using support::open_connection;
using support::PeerServer;
using support::PeerSocket;
using support::Recorder;

TEST_CASE("close_gracefully: a peer that half-closes still gets all that is queued") {
  EventLoop loop;
  const std::string replies(std::size_t{1} << 20U, 'r');
  std::promise<void> half_closed;
  std::promise<std::string> arrived;
  PeerServer peer([&](PeerSocket& socket) {
    socket.send("QUIT\r\n");
    socket.half_close();
    half_closed.set_value();
    arrived.set_value(socket.read_to_end());
    loop.post([&loop] { loop.stop(); });
  });
  Recorder observer;
  auto connection = open_connection(loop, peer.address());
  connection->set_observer(&observer);
  half_closed.get_future().wait();
  const auto close = [&] {
    connection->write(replies);
    Connection::close_gracefully(std::move(connection));
  };
  SUBCASE("while it flushes") {
    close();
  }
  SUBCASE("before it began") {
    observer.stream_closed = close;
  }
  support::run(loop);
  CHECK(arrived.get_future().get().size() == replies.size());
  support::settle(loop);
}

TEST_CASE("close_gracefully: a peer that does not read is given up after the limit") {
  EventLoop loop;
  const std::size_t size = std::size_t{64} << 20U;
  std::promise<void> given_up;
  std::promise<std::size_t> arrived;
  PeerServer peer([&](PeerSocket& socket) {
    given_up.get_future().wait();
    arrived.set_value(socket.read_to_end().size());
    loop.post([&loop] { loop.stop(); });
  });
  auto connection = open_connection(loop, peer.address());
  connection->write(std::string(size, 'x'));
  Connection::close_gracefully(std::move(connection), milliseconds(20));
  relay::net::Timer later(loop, [&] { given_up.set_value(); });
  later.start(milliseconds(60));
  support::run(loop);  // were the connection still there, all would arrive now
  CHECK(arrived.get_future().get() < size);
}

}  // namespace
