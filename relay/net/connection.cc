#include "relay/net/connection.h"

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <new>
#include <sys/socket.h>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "relay/net/handles.h"
#include "relay/net/tls_client_session.h"

namespace relay::net {
namespace {

constexpr std::size_t kInputLimit = std::size_t{64} * 1024;

struct FreeBufferevent {
  void operator()(bufferevent* stream) const {
    bufferevent_setcb(stream, nullptr, nullptr, nullptr, nullptr);
    bufferevent_free(stream);
  }
};
using Stream = std::unique_ptr<bufferevent, FreeBufferevent>;

std::vector<unsigned long> take_tls_errors(bufferevent* stream) {
  std::vector<unsigned long> errors;
  while (const unsigned long error = bufferevent_get_openssl_error(stream)) {
    errors.push_back(error);
  }
  return errors;
}

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

std::optional<std::uint32_t> uid_of(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  // For other sockets than UNIX ones the system answers with no process and no user.
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid == 0) {
    return std::nullopt;
  }
  return peer.uid;
}

class StreamConnection final : public Connection {
 public:
  StreamConnection(EventLoop& loop, int fd) : loop_(loop), fd_(fd) {
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
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;
  StreamConnection(StreamConnection&&) = delete;
  StreamConnection& operator=(StreamConnection&&) = delete;
  ~StreamConnection() override {
    if (destroyed_ != nullptr) {
      *destroyed_ = true;
    }
  }

  void set_observer(Observer* observer) override { observer_ = observer; }
  void write(std::string_view bytes) override;
  [[nodiscard]] std::size_t pending_output() const override {
    return evbuffer_get_length(bufferevent_get_output(stream_.get()));
  }
  void pause_reading() override;
  void resume_reading() override;
  void start_tls(TlsClientContext& context, const TlsClientOptions& options,
                 std::chrono::milliseconds timeout, std::function<void(TlsOutcome)> done) override;
  [[nodiscard]] std::optional<SocketAddress> local_address() const override {
    return address_by(&::getsockname, fd_);
  }
  [[nodiscard]] std::optional<SocketAddress> peer_address() const override {
    return address_by(&::getpeername, fd_);
  }
  [[nodiscard]] std::optional<std::uint32_t> peer_uid() const override { return uid_of(fd_); }

 private:
  enum class State {
    open,
    handshake,  // no bytes are delivered
    ended,      // the peer's end was seen; bytes received before it may remain
    dead,       // on_closed or TlsFailed was reported
    finishing,  // nobody listens: flushing, then waiting for the peer's end
  };
  struct Handshake {
    Handshake(EventLoop& loop, std::function<void()> on_deadline, std::function<void(TlsOutcome)> f)
        : deadline(loop, std::move(on_deadline)), done(std::move(f)) {}
    enum class Phase { waiting, running, refused };
    Timer deadline;
    std::function<void(TlsOutcome)> done;
    Phase phase = Phase::waiting;
    std::string failure_at_deadline = "handshake-timeout";
  };
  struct End {
    CloseReason reason;
    std::string detail;
  };

  static void on_read(bufferevent* stream, void* self) noexcept;
  static void on_write(bufferevent* stream, void* self) noexcept;
  static void on_event(bufferevent* stream, short what, void* self) noexcept;

  void finish(std::unique_ptr<Connection> self, std::chrono::milliseconds limit) override;
  void finishing_ended(short what);
  void half_close();
  void destroy_self() { loop_.release(static_cast<Connection*>(this)); }
  void watch_stream();
  void deliver();
  void report_end();
  void stream_ended(short what);
  [[nodiscard]] bool injected() const;
  void refuse_handshake(std::string reason);
  void begin_handshake();
  void end_handshake(TlsOutcome outcome);
  [[nodiscard]] evbuffer* input() const { return bufferevent_get_input(stream_.get()); }

  EventLoop& loop_;
  int fd_;
  std::unique_ptr<TlsClientSession> tls_;  // set from start_tls() on
  Stream stream_;
  Observer* observer_ = nullptr;
  State state_ = State::open;
  bool paused_ = false;
  bool output_reported_ = true;  // false: on_drained is owed
  bool output_broken_ = false;   // nothing written can arrive any more
  std::size_t delivering_ = 0;   // bytes of the input that the observer is being shown
  bool* destroyed_ = nullptr;    // set while deliver() runs
  std::optional<End> end_;
  std::unique_ptr<Handshake> handshake_;
  std::unique_ptr<Timer> close_deadline_;
};

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
  } else if (connection->observer_ != nullptr && connection->state_ != State::dead) {
    connection->observer_->on_drained();
  }
}

void StreamConnection::on_event(bufferevent* stream, short what, void* self) noexcept {
  auto* connection = static_cast<StreamConnection*>(self);
  if (connection->state_ == State::finishing) {
    connection->finishing_ended(what);
  } else if (connection->state_ != State::handshake) {
    connection->stream_ended(what);
  } else if (connection->handshake_->phase != Handshake::Phase::running) {
    return;  // a refusal is reported as such, whatever the plain stream does now
  } else if ((what & BEV_EVENT_CONNECTED) != 0) {
    connection->end_handshake(connection->tls_->established());
  } else {
    connection->end_handshake(TlsFailed{TlsClientSession::failure_reason(take_tls_errors(stream))});
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
    const auto reason = TlsClientSession::library_failure(take_tls_errors(stream_.get()));
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
  } else if (handshake_ && handshake_->phase == Handshake::Phase::waiting) {
    begin_handshake();
  } else if (may_deliver() && state_ == State::ended) {
    report_end();
  }
}

void StreamConnection::report_end() {
  state_ = State::dead;
  End end = std::move(*end_);
  observer_->on_closed(end.reason, std::move(end.detail));
}

bool StreamConnection::injected() const {
  // The client speaks first in TLS: a byte that waits now was sent before the handshake.
  char byte = 0;
  return evbuffer_get_length(input()) > delivering_ ||
         ::recv(fd_, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void StreamConnection::start_tls(TlsClientContext& context, const TlsClientOptions& options,
                                 std::chrono::milliseconds timeout,
                                 std::function<void(TlsOutcome)> done) {
  handshake_ = std::make_unique<Handshake>(
      loop_, [this] { end_handshake(TlsFailed{std::move(handshake_->failure_at_deadline)}); },
      std::move(done));
  const State before = std::exchange(state_, State::handshake);
  if (before != State::open) {
    refuse_handshake("handshake-eof");
  } else if (injected()) {
    refuse_handshake("starttls-injection");
  } else if (pending_output() != 0) {
    // What is queued would be sent inside the encrypted stream.
    refuse_handshake("starttls-output-pending");
  } else if (tls_ = TlsClientSession::create(context, options); !tls_) {
    refuse_handshake("tls-setup");
  } else {
    handshake_->deadline.start(timeout);
    if (delivering_ == 0) {
      begin_handshake();
    }
  }
}

void StreamConnection::refuse_handshake(std::string reason) {
  handshake_->phase = Handshake::Phase::refused;
  handshake_->failure_at_deadline = std::move(reason);
  handshake_->deadline.start(std::chrono::milliseconds::zero());
}

void StreamConnection::begin_handshake() {
  handshake_->phase = Handshake::Phase::running;
  bufferevent_setfd(stream_.get(), -1);  // or it would close the socket
  ssl_st* shared = tls_->share();
  stream_.reset(bufferevent_openssl_socket_new(loop_.base(), fd_, shared,
                                               BUFFEREVENT_SSL_CONNECTING,
                                               BEV_OPT_DEFER_CALLBACKS | BEV_OPT_CLOSE_ON_FREE));
  if (!stream_) {
    throw std::bad_alloc();
  }
  bufferevent_openssl_set_allow_dirty_shutdown(stream_.get(), 1);
  watch_stream();
}

void StreamConnection::end_handshake(TlsOutcome outcome) {
  const auto handshake = std::move(handshake_);
  const bool failed = std::holds_alternative<TlsFailed>(outcome);
  state_ = failed ? State::dead : State::open;
  output_broken_ = failed;
  if (failed) {
    bufferevent_setcb(stream_.get(), nullptr, nullptr, nullptr, nullptr);
    bufferevent_disable(stream_.get(), EV_READ | EV_WRITE);
  }
  handshake->deadline.stop();
  handshake->done(std::move(outcome));
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

}  // namespace

std::unique_ptr<Connection> Connection::adopt(EventLoop& loop, int fd) {
  return std::make_unique<StreamConnection>(loop, fd);
}

void Connection::close_gracefully(std::unique_ptr<Connection> connection,
                                  std::chrono::milliseconds limit) {
  if (connection) {
    Connection& closing = *connection;
    closing.finish(std::move(connection), limit);
  }
}

}  // namespace relay::net
