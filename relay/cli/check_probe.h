// Talks to one address of an MX host as a delivery would: connect, EHLO, STARTTLS, handshake, EHLO,
// QUIT; but sends no mail. Belongs to one event loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "relay/cli/check_examination.h"
#include "relay/net/connection.h"
#include "relay/net/event_loop.h"
#include "relay/net/operation.h"
#include "relay/net/tls_client.h"
#include "relay/smtp/client_session.h"

namespace relay::cli {

class Probe final : private net::Connection::Observer {
 public:
  struct Target {
    net::DomainName host;  ///< SNI and reference name
    net::SocketAddress address;
  };
  /// done runs once, from the loop, and may destroy the probe.
  Probe(net::EventLoop& loop, std::shared_ptr<net::TlsClientContext> tls, Target target,
        smtp::ClientSettings settings, std::function<void(HostSession)> done);
  ~Probe() = default;
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  void start();

 private:
  void on_bytes(std::string_view bytes) override;
  void on_drained() override {}
  void on_closed(net::Connection::CloseReason reason, std::string detail) override;

  void connected(Expected<std::unique_ptr<net::Connection>, net::ConnectFailure> result);
  void pump();
  void start_tls();
  void watch_deadline();
  void on_deadline();
  void say_goodbye();
  void finish();

  net::EventLoop& loop_;
  std::shared_ptr<net::TlsClientContext> tls_;
  Target target_;
  smtp::ClientSettings settings_;
  smtp::ClientSession session_;
  std::function<void(HostSession)> done_;
  HostSession found_;
  net::Operation connecting_;
  std::unique_ptr<net::Connection> connection_;
  net::Timer deadline_;
  std::optional<std::tuple<smtp::Stage, std::uint64_t>> watched_;
  enum class State { talking, leaving } state_ = State::talking;
};

}  // namespace relay::cli
