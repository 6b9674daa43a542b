#include "relay/net/connection.h"

#include <future>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "tests/relay/net/loop_fixture.h"

namespace {

using relay::net::Connection;
using relay::net::EventLoop;
using relay::net::SocketAddress;
using std::chrono::seconds;
using support::open_connection;
using support::PeerServer;
using support::PeerSocket;
using support::Recorder;

std::string numbered_lines(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) {
    text += "line " + std::to_string(i) + "\r\n";
  }
  return text;
}

TEST_CASE("bytes go both ways, in order, however large") {
  EventLoop loop;
  const std::string sent = numbered_lines(std::size_t{2} * 1024 * 1024);
  PeerServer echo([](PeerSocket& socket) {
    for (auto part = socket.read_some(); !part.empty(); part = socket.read_some()) {
      socket.send(part);
    }
  });
  Recorder observer;
  auto connection = open_connection(loop, echo.address());
  connection->set_observer(&observer);
  observer.bytes_arrived = [&] {
    if (observer.received.size() >= sent.size()) {
      loop.stop();
    }
  };
  connection->write(sent);
  CHECK(connection->pending_output() == sent.size());
  CHECK(observer.received.empty());
  support::run(loop);
  CHECK(observer.received == sent);
  CHECK(observer.drained == 1);
  CHECK(connection->pending_output() == 0);
  connection.reset();
  support::settle(loop);
}

TEST_CASE("a connection knows its addresses and sends without delay") {
  EventLoop loop;
  PeerServer peer([](PeerSocket& socket) { socket.await_end(); });
  std::unique_ptr<Connection> connection;
  const auto source = SocketAddress::from_ip("127.0.0.9", 0);
  const auto operation =
      relay::net::connect(loop, peer.address(), source, seconds(20), [&](auto result) {
        REQUIRE(result.has_value());
        connection = std::move(*result);
        loop.stop();
      });
  support::run(loop);
  REQUIRE(connection);
  CHECK(connection->peer_address() == peer.address());
  CHECK(connection->local_address()->ip() == "127.0.0.9");
  connection.reset();
  support::settle(loop);
}

TEST_CASE("an adopted TCP socket has Nagle's algorithm switched off") {
  EventLoop loop;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const auto connection = Connection::adopt(loop, fd);
  int on = 0;
  socklen_t length = sizeof on;
  REQUIRE(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &length) == 0);
  CHECK(on != 0);
}

TEST_CASE("bytes received before the peer's end are delivered before on_closed") {
  EventLoop loop;
  const std::string sent = numbered_lines(300000);
  PeerServer peer([&](PeerSocket& socket) { socket.send(sent); });
  Recorder observer;
  const auto connection = open_connection(loop, peer.address());
  connection->set_observer(&observer);
  observer.stream_closed = [&] { loop.stop(); };

  SUBCASE("while reading") {
    support::run(loop);
  }
  SUBCASE("after a pause in mid-delivery") {
    bool paused = false;
    observer.bytes_arrived = [&] {
      CHECK_FALSE(paused);
      connection->pause_reading();
      paused = true;
      loop.post([&] {
        paused = false;
        connection->resume_reading();
      });
    };
    support::run(loop);
  }
  CHECK(observer.received == sent);
  CHECK(observer.closed == Connection::CloseReason::eof);
}

TEST_CASE("a paused connection delivers nothing and holds back the peer") {
  EventLoop loop;
  std::promise<std::size_t> blocked_at;
  PeerServer peer([&](PeerSocket& socket) {
    const std::string block(65536, 'x');
    std::size_t sent = 0;
    for (ssize_t n = 1; n > 0 && sent < (std::size_t{64} << 20U);) {
      n = ::send(socket.fd(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      sent += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    blocked_at.set_value(sent);
    loop.post([&loop] { loop.stop(); });
    socket.await_end();
  });
  Recorder observer;
  {
    const auto connection = open_connection(loop, peer.address());
    connection->set_observer(&observer);
    connection->pause_reading();
    support::run(loop);
    CHECK(observer.received.empty());
    CHECK(blocked_at.get_future().get() < (std::size_t{64} << 20U));
    connection->resume_reading();
    observer.bytes_arrived = [&] { loop.stop(); };
    support::run(loop);
    CHECK_FALSE(observer.received.empty());
  }
  support::settle(loop);
}

TEST_CASE("an observer may be exchanged between events") {
  EventLoop loop;
  PeerServer echo([](PeerSocket& socket) {
    for (auto part = socket.read_some(); !part.empty(); part = socket.read_some()) {
      socket.send(part);
    }
  });
  Recorder first;
  Recorder second;
  auto connection = open_connection(loop, echo.address());
  first.bytes_arrived = second.bytes_arrived = [&] { loop.stop(); };
  connection->set_observer(&first);
  connection->write("one");
  support::run(loop);
  connection->set_observer(&second);
  connection->write("two");
  support::run(loop);
  CHECK(first.received == "one");
  CHECK(second.received == "two");
  connection.reset();
  support::settle(loop);
}

TEST_CASE("the observer may destroy the connection in each of its methods") {
  EventLoop loop;
  PeerServer peer([](PeerSocket& socket) {
    socket.send(std::string(200000, 'x'));
    socket.await_input();
  });
  Recorder observer;
  auto connection = open_connection(loop, peer.address());
  connection->set_observer(&observer);
  const auto destroy = [&] {
    connection.reset();
    loop.stop();
  };
  SUBCASE("on_bytes") {
    observer.bytes_arrived = destroy;
  }
  SUBCASE("on_drained") {
    connection->pause_reading();
    observer.output_drained = destroy;
  }
  SUBCASE("on_closed") {
    observer.stream_closed = destroy;
  }
  connection->write("x");
  support::run(loop);
  const auto received = observer.received;
  support::settle(loop);
  CHECK(observer.received == received);
}

TEST_CASE("a destroyed connection calls nobody, even with events under way") {
  EventLoop loop;
  std::promise<void> sent;
  PeerServer peer([&](PeerSocket& socket) {
    socket.send("bytes");
    sent.set_value();
  });
  Recorder observer;
  auto connection = open_connection(loop, peer.address());
  connection->set_observer(&observer);
  connection->write("x");
  sent.get_future().wait();
  connection.reset();
  support::settle(loop);
  CHECK(observer.received.empty());
  CHECK_FALSE(observer.closed);
  CHECK(observer.drained == 0);
}

TEST_CASE("a reset by the peer is reported as an error with the system's reason") {
  EventLoop loop;
  std::promise<void> connected;
  PeerServer peer([&](PeerSocket& socket) {
    connected.get_future().wait();
    const linger at_once{1, 0};
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  });
  Recorder observer;
  const auto connection = open_connection(loop, peer.address());
  connected.set_value();
  connection->set_observer(&observer);
  observer.stream_closed = [&] { loop.stop(); };
  support::run(loop);
  CHECK(observer.closed == Connection::CloseReason::error);
  CHECK(observer.detail == "Connection reset by peer");
}

TEST_CASE("what a peer said before it reset the stream is still delivered") {
  EventLoop loop;
  std::promise<void> done;
  PeerServer peer([&](PeerSocket& socket) {
    socket.send("421 too busy\r\n");
    done.get_future().wait();
    // Closing with unread input resets the connection.
    char byte = 0;
    CHECK(::recv(socket.fd(), &byte, 1, MSG_PEEK) == 1);
  });
  Recorder observer;
  const auto connection = open_connection(loop, peer.address());
  connection->set_observer(&observer);
  observer.stream_closed = [&] { loop.stop(); };
  connection->write("EHLO client.example\r\n");
  done.set_value();
  support::run(loop);
  CHECK(observer.received == "421 too busy\r\n");
  CHECK(observer.closed);
}

TEST_CASE("a peer that only half-closed still gets what is written") {
  EventLoop loop;
  std::promise<std::string> answer;
  PeerServer peer([&](PeerSocket& socket) {
    socket.send("QUIT\r\n");
    socket.half_close();
    answer.set_value(socket.read_to_end());
  });
  Recorder observer;
  auto connection = open_connection(loop, peer.address());
  connection->set_observer(&observer);
  observer.bytes_arrived = [&] { connection->write("221 bye\r\n"); };
  observer.stream_closed = [&] {
    Connection::close_gracefully(std::move(connection));
    loop.stop();
  };
  support::run(loop);
  support::settle(loop);
  CHECK(answer.get_future().get() == "221 bye\r\n");
}

TEST_CASE("close_gracefully sends all that is queued, then closes, and the owner may be gone") {
  EventLoop loop;
  const std::string sent = numbered_lines(std::size_t{4} * 1024 * 1024);
  std::promise<std::string> arrived;
  PeerServer peer([&](PeerSocket& socket) {
    socket.send("more input that nobody will read");
    arrived.set_value(socket.read_to_end());
    loop.post([&loop] { loop.stop(); });
  });
  {
    auto connection = open_connection(loop, peer.address());
    Recorder observer;
    observer.bytes_arrived = [] { FAIL_CHECK("the observer is gone"); };
    connection->set_observer(&observer);
    connection->write(sent);
    Connection::close_gracefully(std::move(connection));
  }
  support::run(loop);
  CHECK(arrived.get_future().get() == sent);
  support::settle(loop);
}

TEST_CASE("close_gracefully may be called from on_bytes") {
  EventLoop loop;
  std::promise<std::string> arrived;
  PeerServer peer([&](PeerSocket& socket) {
    socket.send(std::string(100000, 'x'));
    arrived.set_value(socket.read_to_end());
    loop.post([&loop] { loop.stop(); });
  });
  Recorder observer;
  auto connection = open_connection(loop, peer.address());
  connection->set_observer(&observer);
  int calls = 0;
  observer.bytes_arrived = [&] {
    ++calls;
    connection->write("554 no\r\n");
    Connection::close_gracefully(std::move(connection));
  };
  support::run(loop);
  CHECK(arrived.get_future().get() == "554 no\r\n");
  CHECK(calls == 1);
}

TEST_CASE("a loop may end while a closing connection is still flushing") {
  std::promise<void> finished;
  auto end = finished.get_future().share();
  PeerServer peer([&](PeerSocket&) { end.wait(); });
  {
    EventLoop loop;
    auto connection = open_connection(loop, peer.address());
    connection->write(std::string(std::size_t{8} << 20U, 'x'));
    Connection::close_gracefully(std::move(connection));
    support::settle(loop);
  }
  finished.set_value();
}

}  // namespace
