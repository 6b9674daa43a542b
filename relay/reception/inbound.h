// One inbound connection: drives smtp::ServerSession between the socket and the spool. It reads no
// faster than the spool writes, so its memory is bounded whatever the size of a message.
// Threading: belongs to its event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "conf/config.h"
#include "relay/log.h"
#include "relay/net/clock.h"
#include "relay/net/connection.h"
#include "relay/net/event_loop.h"
#include "relay/reception/access.h"
#include "relay/reception/connection_counts.h"
#include "relay/reception/patience.h"
#include "relay/smtp/server_session.h"
#include "relay/spool/spool.h"

namespace relay::reception {

/// The configuration's slice for receiving mail.
struct ReceptionSettings {
  std::string hostname;
  conf::Limits limits;
  conf::Queue queue;
  std::vector<conf::Listener> listen;

  [[nodiscard]] static std::shared_ptr<const ReceptionSettings> from(const conf::Config& config);
};

class Inbound final : private net::Connection::Observer {
 public:
  struct Parts {
    net::EventLoop& loop;
    const net::Clock& clock;
    spool::Spool& spool;
    Log& log;
    std::shared_ptr<const ReceptionSettings> settings;    ///< kept for the whole session
    std::shared_ptr<const ConnectionCounts> connections;  ///< of all workers
  };

  /// finished: called once, as the last act, when the session is over.
  Inbound(Parts parts, std::unique_ptr<net::Connection> connection, const Permission& permission,
          std::function<void(Inbound*)> finished);
  ~Inbound() = default;
  Inbound(const Inbound&) = delete;
  Inbound& operator=(const Inbound&) = delete;

  /// No new message is begun: 421 now, or after the message that is being received.
  void shut_down();

 private:
  enum class Life { goes_on, over };

  void on_bytes(std::string_view bytes) override;
  void on_drained() override;
  void on_closed(net::Connection::CloseReason reason, std::string detail) override;

  [[nodiscard]] Life pump();
  [[nodiscard]] Life obey();
  void move_content();
  void open_message();
  void append(std::string_view content);
  void commit();
  void committed(const spool::Envelope& envelope, const spool::Stored<void>& result);
  [[nodiscard]] spool::Envelope envelope() const;
  [[nodiscard]] smtp::Room room() const;
  [[nodiscard]] std::string received_header() const;
  void log_rejections();
  void log_accepted(const spool::Envelope& envelope);
  void steer_reading();
  void touch();
  void arm();
  void tick();
  [[nodiscard]] Load load() const;
  void finish();

  Parts parts_;
  std::unique_ptr<net::Connection> connection_;  // null once the peer is gone
  std::function<void(Inbound*)> finished_;
  smtp::ServerSession session_;
  std::string client_ip_;
  std::string client_literal_;
  std::unique_ptr<spool::IncomingMessage> message_;
  std::uint64_t size_ = 0;
  bool committing_ = false;
  bool reading_ = true;
  smtp::Relaying relaying_;
  Patience patience_;
  net::Timer timer_;
  net::Timer pause_timer_;
};

}  // namespace relay::reception
