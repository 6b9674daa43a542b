// StreamConnection's handshakes, towards servers and towards clients.
#include <new>
#include <string>
#include <sys/socket.h>
#include <utility>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "relay/net/stream_connection.h"
#include "relay/net/tls_client_session.h"
#include "relay/net/tls_server_session.h"

namespace relay::net {

std::vector<unsigned long> take_tls_errors(bufferevent* stream) {
  std::vector<unsigned long> errors;
  while (const unsigned long error = bufferevent_get_openssl_error(stream)) {
    errors.push_back(error);
  }
  return errors;
}

bool StreamConnection::injected() const {
  // The client speaks first in TLS, and not before the reply to STARTTLS: a byte that waits now was
  // sent before the handshake.
  char byte = 0;
  return evbuffer_get_length(input()) > delivering_ ||
         ::recv(fd_, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void StreamConnection::start_tls(TlsClientContext& context, const TlsClientOptions& options,
                                 std::chrono::milliseconds timeout,
                                 std::function<void(TlsOutcome)> done) {
  std::unique_ptr<TlsClientSession> session;
  std::string refusal;
  if (state_ != State::open) {
    refusal = "handshake-eof";
  } else if (injected()) {
    refusal = "starttls-injection";
  } else if (pending_output() != 0) {
    // What is queued would be sent inside the encrypted stream.
    refusal = "starttls-output-pending";
  } else if (session = TlsClientSession::create(context, options); !session) {
    refusal = "tls-setup";
  }
  auto ended = [client = session.get(),
                done = std::move(done)](const std::optional<std::string>& failure) {
    done(failure ? TlsOutcome(TlsFailed{*failure}) : client->established());
  };
  shake_hands(Side::client, std::move(session), std::move(refusal), timeout, std::move(ended));
}

void StreamConnection::accept_tls(TlsServerContext& context, TlsStart start,
                                  std::chrono::milliseconds timeout,
                                  std::function<void(TlsServerOutcome)> done) {
  std::unique_ptr<TlsServerSession> session;
  std::string refusal;
  if (state_ != State::open) {
    refusal = "handshake-eof";
  } else if (start == TlsStart::after_reply && injected()) {
    refusal = "starttls-injection";
  } else if (session = TlsServerSession::create(context); !session) {
    refusal = "tls-setup";
  } else {
    // The handshake's first octets, which answer the reply that is still queued, are not for the
    // plain stream.
    paused_ = false;
    bufferevent_disable(stream_.get(), EV_READ);
  }
  auto ended = [server = session.get(),
                done = std::move(done)](const std::optional<std::string>& failure) {
    done(failure ? TlsServerOutcome(Unexpected<TlsFailed>(TlsFailed{*failure}))
                 : TlsServerOutcome(server->established()));
  };
  shake_hands(Side::server, std::move(session), std::move(refusal), timeout, std::move(ended));
}

// refusal: why the handshake cannot begin; empty: it can.
void StreamConnection::shake_hands(Side side, std::unique_ptr<TlsSession> session,
                                   std::string refusal, std::chrono::milliseconds timeout,
                                   HandshakeEnd ended) {
  handshake_ = std::make_unique<Handshake>(
      loop_, [this] { end_handshake(std::move(handshake_->failure_at_deadline)); }, side,
      std::move(ended));
  state_ = State::handshake;
  if (!refusal.empty()) {
    handshake_->phase = Handshake::Phase::refused;
    handshake_->failure_at_deadline = std::move(refusal);
    handshake_->deadline.start(std::chrono::milliseconds::zero());
    return;
  }
  tls_ = std::move(session);
  handshake_->deadline.start(timeout);
  begin_handshake_when_ready();
}

void StreamConnection::begin_handshake_when_ready() {
  if (handshake_->phase == Handshake::Phase::waiting && delivering_ == 0 && pending_output() == 0) {
    begin_handshake();
  }
}

void StreamConnection::begin_handshake() {
  handshake_->phase = Handshake::Phase::running;
  bufferevent_setfd(stream_.get(), -1);  // or it would close the socket
  stream_.reset(bufferevent_openssl_socket_new(
      loop_.base(), fd_, tls_->share(),
      handshake_->side == Side::client ? BUFFEREVENT_SSL_CONNECTING : BUFFEREVENT_SSL_ACCEPTING,
      BEV_OPT_DEFER_CALLBACKS | BEV_OPT_CLOSE_ON_FREE));
  if (!stream_) {
    throw std::bad_alloc();
  }
  bufferevent_openssl_set_allow_dirty_shutdown(stream_.get(), 1);
  watch_stream();
}

void StreamConnection::handshake_event(short what) {
  if (handshake_->phase == Handshake::Phase::refused) {
    return;  // a refusal is reported as such, whatever the plain stream does now
  }
  if ((what & BEV_EVENT_CONNECTED) != 0) {
    end_handshake(std::nullopt);
  } else {
    end_handshake(TlsSession::failure_reason(take_tls_errors(stream_.get())));
  }
}

void StreamConnection::end_handshake(const std::optional<std::string>& failure) {
  const auto handshake = std::move(handshake_);
  state_ = failure ? State::dead : State::open;
  output_broken_ = failure.has_value();
  if (failure) {
    bufferevent_setcb(stream_.get(), nullptr, nullptr, nullptr, nullptr);
    bufferevent_disable(stream_.get(), EV_READ | EV_WRITE);
  }
  handshake->deadline.stop();
  handshake->ended(failure);
}

}  // namespace relay::net
