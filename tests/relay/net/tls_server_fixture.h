// A TLS server on the loop under test, and clients that meet it there.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <openssl/ssl.h>

#include "relay/net/connection.h"
#include "relay/net/listener.h"
#include "relay/net/tls_server.h"
#include "tests/relay/net/tls_fixture.h"

namespace support {

/// Accepts one connection, and TLS on it: at once, or when the client said anything.
class TlsListener {
 public:
  TlsListener(relay::net::EventLoop& loop, relay::net::TlsServerContext& context,
              relay::net::TlsStart start,
              std::chrono::milliseconds timeout = std::chrono::seconds(20))
      : loop_(loop),
        context_(context),
        start_(start),
        timeout_(timeout),
        socket_(*relay::net::ListeningSocket::bind(
            *relay::net::SocketAddress::from_ip("127.0.0.1", 0))),
        acceptor_(loop, socket_, [this](auto one) { accepted(std::move(one)); }) {}

  [[nodiscard]] relay::net::SocketAddress address() const { return *socket_->address(); }

  /// Called before the handshake that follows a reply.
  std::function<void()> before_reply;
  /// Called when the handshake has ended.
  std::function<void()> ended = [this] { loop_.stop(); };
  std::optional<relay::net::TlsServerOutcome> outcome;
  std::unique_ptr<relay::net::Connection> connection;
  Recorder observer;

 private:
  void accepted(std::unique_ptr<relay::net::Connection> one) {
    connection = std::move(one);
    connection->set_observer(&observer);
    if (start_ == relay::net::TlsStart::at_once) {
      shake_hands();
      return;
    }
    observer.bytes_arrived = [this] {
      observer.bytes_arrived = nullptr;
      observer.received.clear();
      if (before_reply) {
        before_reply();
      }
      connection->write("220 go ahead\r\n");
      shake_hands();
    };
  }
  void shake_hands() {
    connection->accept_tls(context_, start_, timeout_, [this](relay::net::TlsServerOutcome result) {
      outcome = std::move(result);
      ended();
    });
  }

  relay::net::EventLoop& loop_;
  relay::net::TlsServerContext& context_;
  relay::net::TlsStart start_;
  std::chrono::milliseconds timeout_;
  std::shared_ptr<relay::net::ListeningSocket> socket_;
  relay::net::Acceptor acceptor_;
};

struct Meeting {
  relay::net::TlsServerOutcome server;
  relay::net::TlsOutcome client;
};

/// One handshake and, if it succeeds, one echo of the client's first words.
inline Meeting meet(relay::net::TlsServerContext& server, relay::net::TlsClientContext& context,
                    const relay::net::TlsClientOptions& options,
                    relay::net::TlsStart start = relay::net::TlsStart::at_once) {
  relay::net::EventLoop loop;
  TlsListener listener(loop, server, start);
  listener.ended = [] {};
  listener.observer.bytes_arrived = nullptr;
  Recorder observer;
  auto connection = open_connection(loop, listener.address());
  connection->set_observer(&observer);
  relay::net::TlsOutcome result;
  const auto begin = [&] {
    connection->start_tls(context, options, std::chrono::seconds(20), [&](auto outcome) {
      result = std::move(outcome);
      if (std::holds_alternative<relay::net::TlsFailed>(result)) {
        loop.stop();
        return;
      }
      connection->write("ping");
      observer.received.clear();
      observer.bytes_arrived = observer.stream_closed = [&loop] { loop.stop(); };
    });
  };
  if (start == relay::net::TlsStart::at_once) {
    begin();
  } else {
    observer.bytes_arrived = [&] {
      observer.bytes_arrived = nullptr;
      begin();
    };
    connection->write("STARTTLS\r\n");
  }
  listener.ended = [&] {
    listener.observer.bytes_arrived = [&] {
      listener.connection->write(listener.observer.received);
    };
    if (!*listener.outcome) {
      listener.connection.reset();
    }
  };
  run(loop);
  if (!std::holds_alternative<relay::net::TlsFailed>(result) && listener.connection) {
    CHECK(observer.received == "ping");
  }
  connection.reset();
  settle(loop);
  REQUIRE(listener.outcome);
  listener.connection.reset();
  settle(loop);
  return {*std::move(listener.outcome), std::move(result)};
}

}  // namespace support
