// One inbound connection: drives smtp::ServerSession between the socket and the spool. It reads no
// faster than the spool writes, so its memory is bounded whatever the size of a message.
// Threading: belongs to its event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "relay/log.h"
#include "relay/message/submission_header.h"
#include "relay/net/clock.h"
#include "relay/net/connection.h"
#include "relay/net/event_loop.h"
#include "relay/net/operation.h"
#include "relay/net/tls_server.h"
#include "relay/reception/access.h"
#include "relay/reception/auth_throttle.h"
#include "relay/reception/clients.h"
#include "relay/reception/connection_counts.h"
#include "relay/reception/password_checker.h"
#include "relay/reception/patience.h"
#include "relay/reception/users.h"
#include "relay/smtp/server_session.h"
#include "relay/spool/spool.h"

namespace relay::reception {

/// What the files that a listener names hold.
struct ListenerFiles {
  std::shared_ptr<net::TlsServerContext> tls;  ///< null: no TLS
  std::shared_ptr<const Users> users;          ///< null: no AUTH
};

/// A listener's rules and what they need.
struct ListenerSettings {
  conf::Listener rules;
  ListenerFiles files;
};

/// The configuration's slice for receiving mail.
struct ReceptionSettings {
  std::string hostname;
  conf::Limits limits;
  conf::Queue queue;
  std::vector<ListenerSettings> listen;
  std::optional<conf::Staging> staging;

  /// files: in the order of config.listen.
  [[nodiscard]] static std::shared_ptr<const ReceptionSettings> from(
      const conf::Config& config, const std::vector<ListenerFiles>& files);
};

/// The client at the other end.
[[nodiscard]] Client client_of(const net::Connection& connection);

class Inbound final : private net::Connection::Observer {
 public:
  struct Parts {
    net::EventLoop& loop;
    const net::Clock& clock;
    spool::Spool& spool;
    Log& log;
    PasswordChecker& passwords;
    AuthThrottle& throttle;
    std::shared_ptr<const ReceptionSettings> settings;    ///< kept for the whole session
    std::shared_ptr<const ConnectionCounts> connections;  ///< of all workers
    Clients& clients;                                     ///< of all workers
  };

  /// standing: as whom the connection is counted from the start. listener: as it is now. finished:
  /// called once, as the last act, when the session is over.
  Inbound(Parts parts, std::unique_ptr<net::Connection> connection, Standing standing,
          const ListenerSettings& listener, std::function<void(Inbound*)> finished);
  ~Inbound() = default;
  Inbound(const Inbound&) = delete;
  Inbound& operator=(const Inbound&) = delete;

  /// No new message is begun: 421 now, or after the message that is being received.
  void shut_down();

 private:
  enum class Life { goes_on, over };
  enum class Admitted { yes, no };

  void on_bytes(std::string_view bytes) override;
  void on_drained() override;
  void on_closed(net::Connection::CloseReason reason, std::string detail) override;

  [[nodiscard]] Life pump();
  [[nodiscard]] Life obey();
  void start_tls();
  void shook_hands(net::TlsServerOutcome outcome);

  // inbound_auth.cc: who the client is.
  /// The connection counts as this client's from here on, unless it has too many; then the session
  /// is told so.
  [[nodiscard]] Admitted become(std::string name, std::string_view user);
  void check_certificate();
  void check_credentials();
  void checked_credentials(PasswordChecker::Answer answer);
  void decide_credentials(smtp::AuthVerdict verdict);
  void log_auth_failure(std::string_view reason);

  void move_content();

  // inbound_message.cc: one message into the spool.
  void open_message();
  void append(std::string_view content);
  void commit();
  void store(spool::Envelope whole, const Ruling& ruling);
  void committed(const spool::Envelope& envelope, const spool::Stored<void>& result);
  [[nodiscard]] spool::Envelope envelope() const;
  [[nodiscard]] spool::Priority priority() const;
  [[nodiscard]] net::WallTime first_try(const std::string& domain,
                                        const spool::Envelope& envelope) const;
  [[nodiscard]] smtp::Room room();
  [[nodiscard]] smtp::Room store_room() const;
  [[nodiscard]] std::string received_header() const;
  [[nodiscard]] std::string staging_header() const;
  [[nodiscard]] std::optional<message::SubmissionHeader> submission_header() const;
  void append_content(std::string_view content);
  void log_accepted(const spool::Envelope& envelope);

  void log_rejections();
  void steer_reading();
  void touch();
  void arm();
  void tick();
  [[nodiscard]] Load load() const;
  void finish();

  Parts parts_;
  std::unique_ptr<net::Connection> connection_;  // null once the peer is gone
  std::function<void(Inbound*)> finished_;
  ListenerSettings listener_;
  Client client_;
  Standing standing_;
  Permission permission_;
  smtp::ServerSession session_;
  std::optional<net::TlsAccepted> tls_;
  std::unique_ptr<spool::IncomingMessage> message_;
  std::optional<message::SubmissionHeader> header_;  // of the message, if it is to be completed
  std::uint64_t size_ = 0;
  bool committing_ = false;
  bool shaking_hands_ = false;
  std::string claimed_user_;  // of the credentials that are being checked
  std::string certificate_;   // the fingerprint of one that gave permission
  net::Operation checking_;
  bool checking_credentials_ = false;
  bool reading_ = true;
  Patience patience_;
  net::Timer timer_;
  net::Timer pause_timer_;
  net::Timer auth_timer_;  // holds back the answer to wrong credentials
};

}  // namespace relay::reception
