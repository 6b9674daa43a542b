// Connection over a socket: a libevent stream, plain or TLS. The plain stream and its end are in
// connection.cc, handshakes in stream_tls.cc. For relay/net only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <event2/bufferevent.h>

#include "relay/net/connection.h"
#include "relay/net/tls_session.h"

namespace relay::net {

/// What the TLS of a stream noted since the last time, as ERR_get_error() values; none of a plain
/// stream.
std::vector<unsigned long> take_tls_errors(bufferevent* stream);

class StreamConnection final : public Connection {
 public:
  StreamConnection(EventLoop& loop, int fd, Endpoints said = {});
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;
  StreamConnection(StreamConnection&&) = delete;
  StreamConnection& operator=(StreamConnection&&) = delete;
  ~StreamConnection() override;

  void set_observer(Observer* observer) override { observer_ = observer; }
  void write(std::string_view bytes) override;
  [[nodiscard]] std::size_t pending_output() const override;
  void pause_reading() override;
  void resume_reading() override;
  void start_tls(TlsClientContext& context, const TlsClientOptions& options,
                 std::chrono::milliseconds timeout, std::function<void(TlsOutcome)> done) override;
  void accept_tls(TlsServerContext& context, TlsStart start, std::chrono::milliseconds timeout,
                  std::function<void(TlsServerOutcome)> done) override;
  [[nodiscard]] std::optional<SocketAddress> local_address() const override;
  [[nodiscard]] std::optional<SocketAddress> peer_address() const override;
  [[nodiscard]] std::optional<std::uint32_t> peer_uid() const override;

 private:
  enum class State {
    open,
    handshake,  // no bytes are delivered
    ended,      // the peer's end was seen; bytes received before it may remain
    dead,       // on_closed or a failed handshake was reported
    finishing,  // nobody listens: flushing, then waiting for the peer's end
  };
  enum class Side { client, server };
  /// failure: nullopt when TLS is established.
  using HandshakeEnd = std::function<void(const std::optional<std::string>& failure)>;
  struct Handshake {
    Handshake(EventLoop& loop, std::function<void()> on_deadline, Side which, HandshakeEnd f)
        : deadline(loop, std::move(on_deadline)), side(which), ended(std::move(f)) {}
    enum class Phase { waiting, running, refused };
    Timer deadline;
    Side side;
    HandshakeEnd ended;
    Phase phase = Phase::waiting;
    std::string failure_at_deadline = "handshake-timeout";
  };
  struct End {
    CloseReason reason;
    std::string detail;
  };
  struct FreeBufferevent {
    void operator()(bufferevent* stream) const;
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
  [[nodiscard]] evbuffer* input() const { return bufferevent_get_input(stream_.get()); }

  [[nodiscard]] bool injected() const;
  void shake_hands(Side side, std::unique_ptr<TlsSession> session, std::string refusal,
                   std::chrono::milliseconds timeout, HandshakeEnd ended);
  void begin_handshake_when_ready();
  void begin_handshake();
  void handshake_event(short what);
  void end_handshake(const std::optional<std::string>& failure);

  EventLoop& loop_;
  int fd_;
  Endpoints said_;
  std::unique_ptr<TlsSession> tls_;  // set from start_tls() or accept_tls() on
  std::unique_ptr<bufferevent, FreeBufferevent> stream_;
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

}  // namespace relay::net
