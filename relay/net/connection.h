// A byte stream over TCP or a UNIX socket, plain or TLS, on one event loop.
// Callbacks never run inside a call to the connection; on_closed is the last one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "relay/net/clock.h"
#include "relay/net/event_loop.h"
#include "relay/net/expected.h"
#include "relay/net/operation.h"
#include "relay/net/socket_address.h"
#include "relay/net/tls_client.h"
#include "relay/net/tls_outcome.h"
#include "relay/net/tls_server.h"

namespace relay::net {

class Connection {
 public:
  enum class CloseReason { eof, error };

  /// Receives the stream's events; outlives the connection. Each method may destroy the
  /// connection as its last act.
  class Observer {
   public:
    Observer() = default;
    Observer(const Observer&) = delete;
    Observer& operator=(const Observer&) = delete;
    /// bytes are valid during the call only and count as consumed.
    virtual void on_bytes(std::string_view bytes) = 0;
    /// Output fell to nothing after it had been non-empty.
    virtual void on_drained() = 0;
    /// The peer closed or the stream broke. detail: for the log.
    virtual void on_closed(CloseReason reason, std::string detail) = 0;

   protected:
    ~Observer() = default;
  };

  /// Who is connected with whom, where a proxy stands between and said so.
  struct Endpoints {
    std::optional<SocketAddress> peer, local;
  };

  /// Takes over a connected, non-blocking socket. said: instead of the socket's own addresses.
  static std::unique_ptr<Connection> adopt(EventLoop& loop, int fd, Endpoints said);
  static std::unique_ptr<Connection> adopt(EventLoop& loop, int fd);
  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Must be set before the loop runs again; may be replaced between events (connection reuse).
  virtual void set_observer(Observer* observer) = 0;
  /// Queues bytes; never blocks. Memory is bounded by the caller through pending_output().
  virtual void write(std::string_view bytes) = 0;
  [[nodiscard]] virtual std::size_t pending_output() const = 0;
  /// Stops or resumes reading from the socket (backpressure towards the peer).
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;
  /// Client side of STARTTLS. done gets TlsFailed, TlsUnverified or TlsVerified exactly once
  /// unless the connection is destroyed. Plaintext bytes already received and not yet delivered
  /// make it TlsFailed{"starttls-injection"} (CVE-2011-0411 class). After TlsFailed the stream is
  /// dead: it sends nothing more and its observer hears nothing more.
  virtual void start_tls(TlsClientContext& context, const TlsClientOptions& options,
                         std::chrono::milliseconds timeout,
                         std::function<void(TlsOutcome)> done) = 0;
  /// Server side, of STARTTLS (after_reply, called together with the write() of that reply) or
  /// of implicit TLS (at_once). done as for start_tls(); what was injected is never delivered.
  virtual void accept_tls(TlsServerContext& context, TlsStart start,
                          std::chrono::milliseconds timeout,
                          std::function<void(TlsServerOutcome)> done) = 0;
  /// Sends what is queued, then closes; its observer hears nothing more and may be destroyed.
  /// Flushing and waiting for the peer's end take no longer than limit and are owned by the loop.
  static void close_gracefully(std::unique_ptr<Connection> connection,
                               std::chrono::milliseconds limit = std::chrono::seconds(5));

  [[nodiscard]] virtual std::optional<SocketAddress> local_address() const = 0;
  [[nodiscard]] virtual std::optional<SocketAddress> peer_address() const = 0;
  /// The user id of the process at the other end of a UNIX socket, when it connected.
  [[nodiscard]] virtual std::optional<std::uint32_t> peer_uid() const { return std::nullopt; }

 protected:
  Connection() = default;

 private:
  /// close_gracefully() of one kind of stream; self owns this.
  virtual void finish(std::unique_ptr<Connection> self, std::chrono::milliseconds /*limit*/) {
    self.reset();
  }
};

struct ConnectFailure {
  std::string reason;  ///< "Connection refused", "timed out after 30 s"
  /// own: for want of something here, and no word about the peer.
  enum class Cause { peer, own } cause = Cause::peer;
};

/// Connects to address (from source, if given), giving up after timeout.
Operation connect(EventLoop& loop, const SocketAddress& address,
                  const std::optional<SocketAddress>& source, std::chrono::milliseconds timeout,
                  std::function<void(Expected<std::unique_ptr<Connection>, ConnectFailure>)> done);

}  // namespace relay::net
