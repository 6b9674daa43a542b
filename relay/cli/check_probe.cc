#include "relay/cli/check_probe.h"

#include <utility>

namespace relay::cli {
namespace {

/// How long the answer to QUIT is waited for.
constexpr std::chrono::seconds kGoodbye{2};

}  // namespace

Probe::Probe(net::EventLoop& loop, std::shared_ptr<net::TlsClientContext> tls, Target target,
             smtp::ClientSettings settings, std::function<void(HostSession)> done)
    : loop_(loop),
      tls_(std::move(tls)),
      target_(std::move(target)),
      settings_(std::move(settings)),
      session_(settings_),
      done_(std::move(done)),
      found_{target_.address, {}, {}, {}, {}, {}},
      deadline_(loop, [this] { on_deadline(); }) {}

void Probe::start() {
  connecting_ = net::connect(loop_, target_.address, std::nullopt, settings_.timeouts.connect,
                             [this](auto result) { connected(std::move(result)); });
}

void Probe::connected(Expected<std::unique_ptr<net::Connection>, net::ConnectFailure> result) {
  if (!result) {
    found_.connect_failure = result.error().reason;
    return finish();
  }
  connection_ = std::move(*result);
  connection_->set_observer(this);
  if (const auto local = connection_->local_address()) {
    found_.local_ip = local->ip();
  }
  pump();
}

void Probe::on_bytes(std::string_view bytes) {
  if (state_ == State::leaving) {
    return finish();
  }
  session_.receive(bytes);
  pump();
}

void Probe::on_closed(net::Connection::CloseReason /*reason*/, std::string detail) {
  connection_.reset();
  if (state_ == State::leaving) {
    return finish();
  }
  session_.closed(detail);
  pump();
}

void Probe::pump() {
  using Demand = smtp::ClientSession::Demand;
  if (session_.demand() == Demand::ready) {
    session_.quit();
  }
  if (connection_) {
    connection_->write(session_.take_output());
  }
  switch (session_.demand()) {
    case Demand::start_tls:
      return start_tls();
    case Demand::read:
      return watch_deadline();
    case Demand::close:
    case Demand::ready:
    case Demand::send_body:
      return say_goodbye();
  }
}

void Probe::start_tls() {
  deadline_.stop();
  watched_.reset();
  net::TlsClientOptions options;
  options.reference_name = target_.host;
  options.floor = settings_.tls.floor();
  options.dane = settings_.tls.dane();
  options.server_name = settings_.tls.sni(target_.host);
  options.chain = net::DescribeChain::yes;
  connection_->start_tls(*tls_, options, session_.timeout(), [this](net::TlsOutcome outcome) {
    session_.tls_established(std::move(outcome));
    pump();
  });
}

void Probe::watch_deadline() {
  const std::tuple now{session_.stage(), session_.answers()};
  if (watched_ != now) {
    watched_ = now;
    deadline_.start(session_.timeout());
  }
}

void Probe::on_deadline() {
  if (state_ == State::leaving) {
    return finish();
  }
  watched_.reset();
  session_.timed_out();
  pump();
}

/// Waits for the answer to QUIT, so that hosts do not log a lost connection.
void Probe::say_goodbye() {
  using Kind = smtp::SessionEnd::Kind;
  state_ = State::leaving;
  const Kind kind = session_.end() ? session_.end()->kind : Kind::quit;
  const bool handshake_failed =
      session_.tls_outcome() && std::holds_alternative<net::TlsFailed>(*session_.tls_outcome());
  if (connection_ && !handshake_failed && (kind == Kind::quit || kind == Kind::tls_requirement)) {
    return deadline_.start(kGoodbye);
  }
  finish();
}

void Probe::finish() {
  deadline_.stop();
  if (connection_) {
    net::Connection::close_gracefully(std::move(connection_));
  }
  found_.tls = session_.tls_outcome();
  found_.end = session_.end();
  found_.server_name = session_.server_name();
  const auto done = std::move(done_);
  done(std::move(found_));
}

}  // namespace relay::cli
