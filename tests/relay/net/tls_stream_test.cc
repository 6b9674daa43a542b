#include <array>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "relay/net/connection.h"
#include "relay/net/tls_client.h"
#include "tests/relay/net/tls_fixture.h"

namespace {

using relay::net::Connection;
using relay::net::EventLoop;
using relay::net::TlsFloor;
using relay::net::TlsOutcome;
using std::chrono::milliseconds;
using std::chrono::seconds;
using support::kHost;
using support::new_authority;
using support::options_for;
using support::PeerServer;
using support::PeerSocket;
using support::Recorder;
using support::shake_hands;
using support::text_of;
using support::TlsServer;
using support::trusting;

TEST_CASE("a handshake that does not complete says why") {
  const auto authority = new_authority();
  const auto context = trusting(authority);
  const auto failure = [&](const PeerServer& server, milliseconds timeout) {
    return text_of(
        shake_hands(server.address(), *context, options_for(kHost, TlsFloor::tls12), timeout));
  };
  SUBCASE("no cipher in common: the server's alert") {
    const TlsServer server(authority.issue({.dns_names = {kHost}}),
                           {.newest_version = TLS1_2_VERSION, .ciphers = "ECDHE-RSA-AES128-SHA"});
    CHECK(text_of(shake_hands(server.address(), *context, options_for(kHost))) ==
          "failed tls-alert-40");
  }
  SUBCASE("end of stream after our hello") {
    const PeerServer server([](PeerSocket& socket) { socket.await_input(); });
    CHECK(failure(server, seconds(20)) == "failed handshake-eof");
  }
  SUBCASE("reset after our hello") {
    const PeerServer server([](PeerSocket& socket) {
      socket.await_input();
      const linger at_once{1, 0};
      ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    });
    CHECK(failure(server, seconds(20)) == "failed handshake-eof");
  }
  SUBCASE("silence") {
    const PeerServer server([](PeerSocket& socket) { socket.await_end(); });
    CHECK(failure(server, milliseconds(20)) == "failed handshake-timeout");
  }
  SUBCASE("plaintext instead of TLS") {
    const PeerServer server([](PeerSocket& socket) {
      socket.await_input();
      socket.send("454 TLS not available\r\n");
      socket.await_end();
    });
    CHECK(failure(server, seconds(20)) == "failed tls-wrong-version-number");
  }
  SUBCASE("a server hello below the floor") {
    const PeerServer server([](PeerSocket& socket) {
      socket.await_input();
      const std::string hello = std::string("\x02\x00\x00\x26\x03\x01", 6) + std::string(32, 'r') +
                                std::string("\x00\x00\x2f\x00", 4);
      socket.send(std::string("\x16\x03\x01\x00\x2a", 5) + hello);
      socket.await_end();
    });
    CHECK(failure(server, seconds(20)) == "failed no-shared-version");
  }
  SUBCASE("a server hello with a cipher we did not offer") {
    const PeerServer server([](PeerSocket& socket) {
      socket.await_input();
      const std::string hello = std::string("\x02\x00\x00\x26\x03\x03", 6) + std::string(32, 'r') +
                                std::string("\x00\x00\x05\x00", 4);  // RC4
      socket.send(std::string("\x16\x03\x03\x00\x2a", 5) + hello);
      socket.await_end();
    });
    CHECK(failure(server, seconds(20)) == "failed no-shared-cipher");
  }
}

TEST_CASE("starttls-injection: plaintext behind the 220 fails the session before any handshake") {
  EventLoop loop;
  const auto context = trusting(new_authority());
  std::string written = "220 go ahead\r\n";
  bool in_kernel = false;
  SUBCASE("received and not yet delivered") {
    written += std::string(60000, 'x');
  }
  SUBCASE("waiting in the kernel") {
    in_kernel = true;
  }
  PeerServer server([&](PeerSocket& socket) {
    socket.send(written);
    loop.post([&loop] { loop.stop(); });
    CHECK(socket.read_to_end().empty());
  });
  Recorder observer;
  auto connection = support::open_connection(loop, server.address());
  connection->set_observer(&observer);
  std::string result;
  const auto start = [&] {
    connection->start_tls(*context, options_for(kHost), seconds(20),
                          [&](const TlsOutcome& outcome) {
                            result = text_of(outcome);
                            loop.stop();
                          });
    CHECK(result.empty());
  };
  if (in_kernel) {
    connection->pause_reading();
    support::run(loop);
    start();
  } else {
    connection->pause_reading();
    support::run(loop);  // until all was sent
    connection->resume_reading();
    observer.bytes_arrived = [&, started = false]() mutable {
      CHECK_FALSE(std::exchange(started, true));
      start();
    };
  }
  support::run(loop);
  CHECK(result == "failed starttls-injection");
  connection->write("never sent");
  connection.reset();
  support::settle(loop);
  CHECK_FALSE(observer.closed);
}

TEST_CASE("STARTTLS may follow at once from on_bytes, and plain and TLS bytes stay apart") {
  EventLoop loop;
  const auto authority = new_authority();
  const auto leaf = authority.issue({.dns_names = {kHost}});
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> server_context(
      SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  REQUIRE(SSL_CTX_use_certificate(server_context.get(), leaf.get()) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(server_context.get(), leaf.key()) == 1);
  std::promise<std::string> end;
  PeerServer server([&](PeerSocket& socket) {
    socket.send("220 mx.example.com ESMTP\r\n");
    if (socket.read_some() != "STARTTLS\r\n") {
      return;
    }
    socket.send("220 go ahead\r\n");
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(server_context.get()), &SSL_free);
    SSL_set_fd(ssl.get(), socket.fd());
    std::array<char, 100> buffer{};
    if (SSL_accept(ssl.get()) != 1 || SSL_read(ssl.get(), buffer.data(), 100) != 6) {
      return;
    }
    SSL_write(ssl.get(), "250 hello\r\n", 11);
    // The client's close_notify, not a mere end of the stream.
    const int read = SSL_read(ssl.get(), buffer.data(), 100);
    end.set_value(SSL_get_error(ssl.get(), read) == SSL_ERROR_ZERO_RETURN ? "close_notify" : "cut");
    loop.post([&loop] { loop.stop(); });
  });
  const auto context = trusting(authority);
  Recorder observer;
  auto connection = support::open_connection(loop, server.address());
  connection->set_observer(&observer);
  observer.bytes_arrived = [&] {
    if (observer.received.ends_with("ESMTP\r\n")) {
      connection->write("STARTTLS\r\n");
    } else if (observer.received.ends_with("ahead\r\n")) {
      connection->start_tls(*context, options_for(kHost), seconds(20),
                            [&](const TlsOutcome& outcome) {
                              CHECK(text_of(outcome) == "verified");
                              connection->write("EHLO\r\n");
                            });
    } else {
      Connection::close_gracefully(std::move(connection));
    }
  };
  support::run(loop);
  CHECK(observer.received == "220 mx.example.com ESMTP\r\n220 go ahead\r\n250 hello\r\n");
  CHECK(end.get_future().get() == "close_notify");
  support::settle(loop);
}

TEST_CASE("large data crosses a TLS stream unharmed, with pauses") {
  EventLoop loop;
  const auto authority = new_authority();
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  const auto context = trusting(authority);
  std::string sent;
  for (int i = 0; sent.size() < (std::size_t{1} << 20U); ++i) {
    sent += std::to_string(i) + "\r\n";
  }
  Recorder observer;
  auto connection = support::open_connection(loop, server.address());
  connection->set_observer(&observer);
  int events = 0;
  observer.bytes_arrived = [&] {
    if (observer.received.size() >= sent.size()) {
      loop.stop();
    } else if (++events % 7 == 0) {
      connection->pause_reading();
      loop.post([&] { connection->resume_reading(); });
    }
  };
  connection->start_tls(*context, options_for(kHost), seconds(20),
                        [&](const TlsOutcome&) { connection->write(sent); });
  support::run(loop);
  CHECK(observer.received == sent);
  CHECK(observer.drained == 1);
  connection.reset();
  support::settle(loop);
}

TEST_CASE("a connection destroyed in mid-handshake never calls back") {
  EventLoop loop;
  const auto authority = new_authority();
  const auto context = trusting(authority);
  bool called = false;
  std::unique_ptr<Connection> connection;
  const auto begin = [&](const relay::net::SocketAddress& address) {
    connection = support::open_connection(loop, address);
    connection->start_tls(*context, options_for(kHost), milliseconds(1),
                          [&](const TlsOutcome&) { called = true; });
  };
  SUBCASE("before it began") {
    const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
    begin(server.address());
    connection.reset();
    support::settle(loop);
  }
  SUBCASE("with the hello sent and the deadline past") {
    PeerServer server([&](PeerSocket& socket) {
      socket.await_input();
      loop.post([&] {
        connection.reset();
        loop.stop();
      });
      socket.await_end();
    });
    connection = support::open_connection(loop, server.address());
    connection->start_tls(*context, options_for(kHost), seconds(20),
                          [&](const TlsOutcome&) { called = true; });
    support::run(loop);
    support::settle(loop);
  }
  SUBCASE("closed gracefully") {
    PeerServer server([&](PeerSocket& socket) { socket.await_end(); });
    begin(server.address());
    Connection::close_gracefully(std::move(connection));
    support::settle(loop);
  }
  SUBCASE("together with its loop") {
    PeerServer server([&](PeerSocket& socket) { socket.await_end(); });
    auto other = std::make_unique<EventLoop>();
    auto doomed = support::open_connection(*other, server.address());
    doomed->start_tls(*context, options_for(kHost), seconds(20),
                      [&](const TlsOutcome&) { called = true; });
    doomed.reset();
    other.reset();
  }
  CHECK_FALSE(called);
}

TEST_CASE("the callback of a handshake may destroy the connection") {
  EventLoop loop;
  const auto authority = new_authority();
  const auto context = trusting(authority);
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  auto connection = support::open_connection(loop, server.address());
  connection->start_tls(*context, options_for(kHost), seconds(20), [&](const TlsOutcome& outcome) {
    connection.reset();
    CHECK(text_of(outcome) == "verified");
    loop.stop();
  });
  support::run(loop);
  support::settle(loop);
}

}  // namespace
