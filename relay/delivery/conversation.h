// One outbound connection with its smtp::ClientSession: connects, does TLS, sends one message at a
// time, and may be kept for the next. The driver has no opinion about SMTP or policy; the engine
// tells it what to do next. Belongs to one event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "relay/delivery/dialogue.h"
#include "relay/delivery/outcome.h"
#include "relay/net/clock.h"
#include "relay/net/connection.h"
#include "relay/net/event_loop.h"
#include "relay/net/operation.h"
#include "relay/net/tls_client.h"
#include "relay/smtp/client_session.h"
#include "relay/spool/message.h"
#include "relay/spool/spool_reader.h"

namespace relay::delivery {

/// How many conversations there are, idle ones too.
class ConversationCount {
 public:
  void add(const std::string& destination);
  void remove(const std::string& destination);
  [[nodiscard]] std::size_t total() const { return total_; }
  [[nodiscard]] std::size_t of(const std::string& destination) const;
  /// Those that got past EHLO and are not over.
  void add_open(const net::SocketAddress& address) { ++open_[address]; }
  void remove_open(const net::SocketAddress& address);
  [[nodiscard]] bool any_open(const net::SocketAddress& address) const {
    return open_.contains(address);
  }

 private:
  std::size_t total_ = 0;
  std::unordered_map<std::string, std::size_t> by_destination_;
  std::map<net::SocketAddress, std::size_t> open_;
};

/// What every conversation of a worker shares; outlives them.
struct ConversationContext {
  net::EventLoop& loop;
  const net::Clock& clock;
  std::shared_ptr<net::TlsClientContext> tls;
  net::TlsSessionCache& tls_sessions;
  spool::SpoolReader& reader;
  ConversationCount& count;
  /// Raised when trust anchors or settings change: what was begun before serves nothing new.
  std::uint64_t generation = 0;
};

/// Whom to talk to and what the session must achieve. Two equal keys are interchangeable sessions.
struct ConversationTarget {
  std::optional<net::DomainName> host;
  net::SocketAddress address;
  smtp::TlsRequirement requirement;
  std::string destination{};     ///< NextHop::key(): whose connection limit it counts in
  std::uint64_t generation = 0;  ///< ConversationContext's when it was made
  std::optional<net::SocketAddress> source{};  ///< absent: the system chooses
  smtp::TlsStart tls_start = smtp::TlsStart::starttls;
  std::string identity{};  ///< who we are there: name in EHLO and account
  /// All but the destination: never a weaker session for a stricter message, nor one judged by
  /// trust anchors that count no more, nor one that is somebody else's. Also the key of its TLS
  /// tickets.
  [[nodiscard]] std::string key() const;
};

/// One message for some of its recipients.
struct MessageJob {
  spool::MessageId id{0};
  smtp::ClientTransaction transaction;
  /// What a host means that greets with our own name: this relay again (RFC 5321 §5.1), or, on a
  /// route, a server of the same name that its author knows of.
  enum class OwnName { loop, namesake } own_name = OwnName::loop;
  /// Gets the dialogue, without secrets and content; empty: nobody wants it.
  DialogueLines::Sink trace{};
  std::string signature{};  ///< header fields to send before the content; counted in its size
};

class Conversation final : private net::Connection::Observer {
 public:
  using Done = std::function<void(ConversationReport)>;

  Conversation(const ConversationContext& context, ConversationTarget target,
               const smtp::ClientSettings& settings);
  ~Conversation();
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  /// Connects and sends the message. done is called once; it may destroy the conversation.
  void open(MessageJob job, Done done);
  /// Sends another message over an idle conversation.
  void send(MessageJob job, Done done);
  /// Waits idle for at most this long, then ends politely. ended: the conversation is over and must
  /// be destroyed.
  void park(std::chrono::milliseconds idle, std::function<void()> ended);
  /// Ends the message under way as if its present stage had timed out; done is called meanwhile or
  /// soon.
  void expire();
  /// Ends politely; the object may be destroyed at once.
  void close();

  [[nodiscard]] bool usable() const;
  [[nodiscard]] smtp::Stage stage() const { return session_.stage(); }
  [[nodiscard]] const ConversationTarget& target() const { return target_; }
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] int messages() const { return messages_; }
  [[nodiscard]] net::SteadyTime opened_at() const { return opened_at_; }

 private:
  void on_bytes(std::string_view bytes) override;
  void on_drained() override;
  void on_closed(net::Connection::CloseReason reason, std::string detail) override;

  void connected(Expected<std::unique_ptr<net::Connection>, net::ConnectFailure> result);
  void pump();
  void flush();
  void handshake_over(net::TlsOutcome outcome);
  void feed_body();
  void start_tls();
  void begin();
  void watch_deadline();
  void on_deadline();
  void report();

  const ConversationContext& context_;
  ConversationTarget target_;
  std::string key_;
  smtp::ClientSession session_;
  std::chrono::milliseconds connect_timeout_;
  std::string own_name_;
  net::Operation connecting_;
  std::unique_ptr<net::Connection> connection_;
  net::Timer deadline_;
  net::Timer late_report_;  ///< a result that was ready before send() returned
  enum class Call { none, send } call_ = Call::none;
  /// What is being waited for: stage, demand, and how many replies came before.
  std::optional<std::tuple<smtp::Stage, smtp::ClientSession::Demand, std::uint64_t>> watched_;
  SessionUsed::Origin origin_ = SessionUsed::Origin::opened;
  SessionUsed::Peer peer_ = SessionUsed::Peer::other;
  std::optional<MessageJob> job_;  ///< not yet begun
  spool::MessageId message_{0};
  std::uint32_t next_slice_ = 0;
  std::string signature_;  ///< to be sent before the first slice
  std::optional<net::WallTime> mail_at_;
  DialogueLines dialogue_;
  std::optional<smtp::TransactionResult> result_;
  std::string local_ip_;
  Done done_;
  std::function<void()> ended_;
  int messages_ = 0;
  net::SteadyTime opened_at_{};
};

}  // namespace relay::delivery
