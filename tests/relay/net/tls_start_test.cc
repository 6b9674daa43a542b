#include <array>
#include <chrono>
#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include "relay/net/connection.h"
#include "relay/net/tls_client.h"
#include "tests/relay/net/tls_fixture.h"

namespace {

using relay::net::EventLoop;
using relay::net::TlsOutcome;
using std::chrono::seconds;
using support::kHost;
using support::new_authority;
using support::options_for;
using support::PeerServer;
using support::PeerSocket;
using support::Recorder;
using support::text_of;
using support::trusting;

TEST_CASE("a handshake that cannot begin says why") {
  EventLoop loop;
  const auto context = trusting(new_authority());
  std::string result;
  std::string received;
  {
    PeerServer server([&](PeerSocket& socket) {
      socket.send("220 go ahead\r\n");
      socket.half_close();
      received = socket.read_to_end();
    });
    Recorder observer;
    auto connection = support::open_connection(loop, server.address());
    connection->set_observer(&observer);
    const auto start = [&] {
      connection->start_tls(*context, options_for(kHost), seconds(20),
                            [&](const TlsOutcome& outcome) {
                              result = text_of(outcome);
                              loop.stop();
                            });
      CHECK(result.empty());
    };
    SUBCASE("starttls-output-pending: what is queued would be sent encrypted") {
      observer.bytes_arrived = [&] {
        connection->write("NOOP\r\n");
        start();
      };
      support::run(loop);
      CHECK(result == "failed starttls-output-pending");
    }
    SUBCASE("handshake-eof: the peer's end was reported") {
      observer.stream_closed = start;
      support::run(loop);
      CHECK(result == "failed handshake-eof");
    }
    connection->write("never sent");
    connection.reset();
    support::settle(loop);
  }
  CHECK(received.find("never") == std::string::npos);
}

TEST_CASE("what was received before a pause arrives after it, even if the peer is silent then") {
  constexpr std::size_t kSize = std::size_t{74} * 1024;
  EventLoop loop;
  const auto authority = new_authority();
  const auto leaf = authority.issue({.dns_names = {kHost}});
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> server_context(
      SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  REQUIRE(SSL_CTX_use_certificate(server_context.get(), leaf.get()) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(server_context.get(), leaf.key()) == 1);
  const PeerServer server([&](PeerSocket& socket) {
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(server_context.get()), &SSL_free);
    SSL_set_fd(ssl.get(), socket.fd());
    if (SSL_accept(ssl.get()) == 1) {
      const std::string bytes(kSize, 'x');
      SSL_write(ssl.get(), bytes.data(), static_cast<int>(bytes.size()));
      loop.post([&loop] { loop.stop(); });
      socket.await_end();
    }
  });
  const auto context = trusting(authority);
  Recorder observer;
  auto connection = support::open_connection(loop, server.address());
  connection->set_observer(&observer);
  connection->start_tls(*context, options_for(kHost), seconds(20),
                        [&](const TlsOutcome&) { connection->pause_reading(); });
  support::run(loop);  // until all was sent
  CHECK(observer.received.empty());
  observer.bytes_arrived = [&, paused = false]() mutable {
    if (observer.received.size() == kSize) {
      loop.stop();
    } else if (!std::exchange(paused, true)) {
      connection->pause_reading();
      loop.post([&] { connection->resume_reading(); });
    }
  };
  connection->resume_reading();
  support::run(loop);
  CHECK(observer.received.size() == kSize);
  connection.reset();
  support::settle(loop);
}

}  // namespace
