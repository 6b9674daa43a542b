#include "relay/net/connection.h"

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <new>
#include <sys/socket.h>
#include <tuple>
#include <unistd.h>
#include <utility>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "relay/net/handles.h"
#include "relay/net/stream_connection.h"

namespace relay::net {
namespace {

constexpr std::size_t kInputLimit = std::size_t{64} * 1024;

using AddressCall = int (*)(int, sockaddr*, socklen_t*);

std::optional<SocketAddress> address_by(AddressCall call, int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (call(fd, address, &length) != 0) {
    return std::nullopt;
  }
  return SocketAddress::from_sockaddr(address, length);
}

}  // namespace

void StreamConnection::FreeBufferevent::operator()(bufferevent* stream) const {
  bufferevent_setcb(stream, nullptr, nullptr, nullptr, nullptr);
  bufferevent_free(stream);
}

StreamConnection::StreamConnection(EventLoop& loop, int fd, Endpoints said)
    : loop_(loop), fd_(fd), said_(said) {
  stream_.reset(
      bufferevent_socket_new(loop.base(), fd, BEV_OPT_DEFER_CALLBACKS | BEV_OPT_CLOSE_ON_FREE));
  if (!stream_) {
    ::close(fd);
    throw std::bad_alloc();
  }
  const int on = 1;  // refused by UNIX sockets, which never delay
  std::ignore = ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  watch_stream();
}

StreamConnection::~StreamConnection() {
  if (destroyed_ != nullptr) {
    *destroyed_ = true;
  }
}

std::optional<SocketAddress> StreamConnection::local_address() const {
  return said_.local ? said_.local : address_by(&::getsockname, fd_);
}

std::optional<SocketAddress> StreamConnection::peer_address() const {
  return said_.peer ? said_.peer : address_by(&::getpeername, fd_);
}

std::optional<std::uint32_t> StreamConnection::peer_uid() const {
  ucred peer{};
  socklen_t length = sizeof peer;
  // For other sockets than UNIX ones the system answers with no process and no user.
  if (::getsockopt(fd_, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid == 0) {
    return std::nullopt;
  }
  return peer.uid;
}

std::size_t StreamConnection::pending_output() const {
  return evbuffer_get_length(bufferevent_get_output(stream_.get()));
}

void StreamConnection::watch_stream() {
  bufferevent_setcb(stream_.get(), &on_read, &on_write, &on_event, this);
  if (!tls_) {
    // A TLS stream that is stopped at a mark may hold decrypted bytes that no event announces;
    // pause_reading() bounds it, at one record.
    bufferevent_setwatermark(stream_.get(), EV_READ, 0, kInputLimit);
  }
  bufferevent_enable(stream_.get(), EV_WRITE);
  if (paused_) {
    bufferevent_disable(stream_.get(), EV_READ);
  } else {
    bufferevent_enable(stream_.get(), EV_READ);
  }
}

void StreamConnection::write(std::string_view bytes) {
  if (bytes.empty() || output_broken_) {
    return;
  }
  output_reported_ = false;
  if (bufferevent_write(stream_.get(), bytes.data(), bytes.size()) != 0) {
    throw std::bad_alloc();
  }
}

void StreamConnection::pause_reading() {
  paused_ = true;
  bufferevent_disable(stream_.get(), EV_READ);
}

void StreamConnection::resume_reading() {
  if (!paused_) {
    return;
  }
  paused_ = false;
  bufferevent_enable(stream_.get(), EV_READ);
  // What arrived before the pause, even only the end, waits for no further event.
  bufferevent_trigger(stream_.get(), EV_READ,
                      BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void StreamConnection::on_read(bufferevent* /*stream*/, void* self) noexcept {
  auto* connection = static_cast<StreamConnection*>(self);
  connection->deliver();
}

void StreamConnection::on_write(bufferevent* /*stream*/, void* self) noexcept {
  auto* connection = static_cast<StreamConnection*>(self);
  if (connection->pending_output() != 0 || connection->output_reported_) {
    return;
  }
  connection->output_reported_ = true;
  if (connection->state_ == State::finishing) {
    connection->half_close();
  } else if (connection->state_ == State::handshake) {
    connection->begin_handshake_when_ready();
  } else if (connection->observer_ != nullptr && connection->state_ != State::dead) {
    connection->observer_->on_drained();
  }
}

void StreamConnection::on_event(bufferevent* /*stream*/, short what, void* self) noexcept {
  auto* connection = static_cast<StreamConnection*>(self);
  switch (connection->state_) {
    case State::finishing:
      connection->finishing_ended(what);
      return;
    case State::handshake:
      connection->handshake_event(what);
      return;
    case State::open:
    case State::ended:
    case State::dead:
      connection->stream_ended(what);
      return;
  }
}

void StreamConnection::stream_ended(short what) {
  const int error = EVUTIL_SOCKET_ERROR();
  const bool writing = (what & BEV_EVENT_WRITING) != 0;
  if (state_ != State::open) {
    return;
  }
  if ((what & BEV_EVENT_EOF) != 0) {
    end_ = End{CloseReason::eof, "closed by the peer"};
    output_broken_ = tls_ != nullptr;  // a plain peer that half-closed still reads
  } else if (!tls_ && writing && !paused_) {
    // The peer may have said why before it closed: read on to the end, which comes at once.
    output_broken_ = true;
    return;
  } else {
    const auto reason = TlsSession::library_failure(take_tls_errors(stream_.get()));
    end_ = End{CloseReason::error, reason.value_or(system_message(error))};
    output_broken_ = true;
  }
  state_ = State::ended;
  if (output_broken_ && pending_output() != 0) {
    paused_ = false;  // whoever waits for on_drained to go on reading would wait for ever
  }
  deliver();
}

void StreamConnection::deliver() {
  bool gone = false;
  destroyed_ = &gone;
  const auto may_deliver = [this] {
    return !paused_ && observer_ != nullptr && (state_ == State::open || state_ == State::ended);
  };
  evbuffer_iovec piece{};
  while (may_deliver() && evbuffer_peek(input(), -1, nullptr, &piece, 1) > 0 && piece.iov_len > 0) {
    delivering_ = piece.iov_len;
    observer_->on_bytes({static_cast<const char*>(piece.iov_base), piece.iov_len});
    if (gone) {
      return;
    }
    delivering_ = 0;
    std::ignore = evbuffer_drain(input(), piece.iov_len);
  }
  destroyed_ = nullptr;
  if (state_ == State::finishing) {
    std::ignore = evbuffer_drain(input(), evbuffer_get_length(input()));
  } else if (state_ == State::handshake) {
    begin_handshake_when_ready();
  } else if (may_deliver() && state_ == State::ended) {
    report_end();
  }
}

void StreamConnection::report_end() {
  state_ = State::dead;
  End end = std::move(*end_);
  observer_->on_closed(end.reason, std::move(end.detail));
}

void StreamConnection::finish(std::unique_ptr<Connection> self, std::chrono::milliseconds limit) {
  observer_ = nullptr;
  if (output_broken_ || state_ == State::handshake || (end_ && pending_output() == 0)) {
    return;
  }
  state_ = State::finishing;
  paused_ = false;
  bufferevent_enable(stream_.get(), end_ ? EV_WRITE : EV_READ | EV_WRITE);
  close_deadline_ = std::make_unique<Timer>(loop_, [this] { destroy_self(); });
  close_deadline_->start(limit);
  loop_.keep(std::move(self));
  if (pending_output() == 0) {
    half_close();
  }
}

void StreamConnection::finishing_ended(short what) {
  const bool still_reads = (what & BEV_EVENT_EOF) != 0 && !tls_;
  if (still_reads && pending_output() != 0) {
    end_ = End{CloseReason::eof, ""};
  } else {
    destroy_self();
  }
}

void StreamConnection::half_close() {
  if (tls_) {
    tls_->send_close_notify();
  }
  // Closing with unread input would reset the connection and may take our last reply with it.
  std::ignore = ::shutdown(fd_, SHUT_WR);
  if (end_) {
    destroy_self();
  }
}

std::unique_ptr<Connection> Connection::adopt(EventLoop& loop, int fd) {
  return adopt(loop, fd, {});
}

std::unique_ptr<Connection> Connection::adopt(EventLoop& loop, int fd, Endpoints said) {
  return std::make_unique<StreamConnection>(loop, fd, said);
}

void Connection::close_gracefully(std::unique_ptr<Connection> connection,
                                  std::chrono::milliseconds limit) {
  if (connection) {
    Connection& closing = *connection;
    closing.finish(std::move(connection), limit);
  }
}

}  // namespace relay::net
