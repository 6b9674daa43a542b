// The server side of one SMTP connection (RFC 5321, 2920, 1870, 6152, 6531, 3461, 3030, 2034, 9422,
// 8689, 3207, 4954) as an engine without I/O: bytes and events in; replies, message content and one
// demand out. A 250 for a message is said only after stored(). Memory is bounded by one chunk given
// to receive().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "relay/smtp/command.h"
#include "relay/smtp/content_check.h"
#include "relay/smtp/dot_stuffing.h"
#include "relay/smtp/envelope_rules.h"
#include "relay/smtp/message_tls.h"

namespace relay::smtp {

/// Whether the client may send mail through us.
enum class Relaying { allowed, denied };

/// How the client's connection is protected, or can be.
enum class Security {
  plain,     ///< and stays so
  starttls,  ///< not yet: STARTTLS is offered
  implicit,  ///< not yet: the handshake comes before the greeting
  tls,
};

/// AUTH (RFC 4954), inside TLS only.
enum class Authentication {
  off,
  offered,
  required,  ///< no mail without it
};

/// What a client says who it is. The password must never be logged.
struct Credentials {
  std::string user, password;
};

enum class AuthVerdict {
  accepted,
  rejected,
  unavailable,  ///< not to be told from us, now
  blocked,      ///< not even looked at: too many were wrong
};

/// What a recipient meets with at a relay in staging, instead of our own answer.
struct RecipientFault {
  std::string reply;  ///< "451 4.3.0 Later", "250 2.1.5 Ok"; empty: our own answer
  std::chrono::milliseconds delay{0};
  enum class Connection { kept, dropped } connection = Connection::kept;
};

/// Whether our own refusals are told as what they are, or as temporary ones.
enum class Refusals { as_they_are, softened };

struct ServerSettings {
  std::string hostname;
  Security security = Security::plain;
  Relaying relaying = Relaying::denied;
  Authentication authentication = Authentication::off;
  EnvelopeRules envelope;  ///< for clients that may relay
  ContentLimits content;
  std::size_t recipients = 1000;  ///< per transaction
  int soft_errors = 10;           ///< from here on refusals come with a delay
  int hard_errors = 20;           ///< then 421
  std::string staging;  ///< for greeting and EHLO: what kind of relay this is; may be empty
  /// By the recipient's address; empty: none.
  std::function<std::optional<RecipientFault>(const std::string&)> recipient_fault;
  Refusals refusals = Refusals::as_they_are;
  int junk_commands = 100;  ///< NOOP, RSET, VRFY, EHLO again … between messages; then 421
};

struct ServerRecipient {
  Address address;
  std::string notify;  ///< RFC 3461, upper case; empty: absent
  std::string orcpt;   ///< RFC 3461, as received; empty: absent
};

/// What is known about the message in progress. The flags about content are final once demand()
/// is store_message.
struct ServerTransaction {
  std::string sender;  ///< "local@domain", as rewritten; empty: null reverse-path
  std::vector<ServerRecipient> recipients;
  std::uint64_t declared_size = 0;  ///< SIZE=, 0: not declared
  std::string ret, envid;           ///< RFC 3461
  bool eight_bit = false;           ///< the content holds octets over 127
  /// The message cannot travel without SMTPUTF8 (envelope or header section is not ASCII).
  bool needs_smtputf8 = false;
  MessageTls tls = MessageTls::normal;
};

enum class Room {
  available,
  disk_full,
  queue_full,   ///< as much as is allowed waits already
  sender_full,  ///< as much as one sender may have waits already
  client_over,  ///< the client has sent as much as it may for now: ClientRoom says the rest
  store_failed,
};

/// What a client may send now, as far as limits of its own go.
struct ClientRoom {
  std::string refusal;  ///< what it is told with Room::client_over
  std::size_t recipients = std::numeric_limits<std::size_t>::max();  ///< of one message
  std::string recipients_refusal{};  ///< what it is told when it names more
};

/// A bound on time that a client broke; the driver keeps the clock.
enum class Overrun {
  silence,
  rate,  ///< content comes too slowly
  session,
};

/// Something was refused, or the session ended otherwise than by QUIT; for the log.
struct Rejection {
  std::string stage;       ///< "connect", "command", "MAIL", "RCPT", "content" …
  std::string sender;      ///< of the transaction, "<>" for the null one; empty: none yet
  std::string recipients;  ///< of a refused RCPT or content, at most some, with commas between
  std::string reply;       ///< "550 5.7.1 Relaying denied"; of a lost client: how it was lost
  /// Why the session ended, in a word: "silence", "rate", "session", "line-length", "junk",
  /// "errors", "auth-failures", "http", "tls-hello", "proxy-header", "nul", "out-of-step",
  /// "smuggling", "staging", "starttls-injection", "tls-failed", "store-failed", "shutdown",
  /// "connections", "lost". Empty: it goes on.
  std::string end;
};

class ServerSession {
 public:
  enum class Demand {
    read,           ///< deliver bytes from the client
    pause,          ///< deliver nothing for pause_time(), then resumed()
    check_room,     ///< MAIL was given: checked() with whether a message could be stored now
    open_message,   ///< content is about to come: opened()
    store_message,  ///< the content is complete: take it, store the message, then stored()
    /// take_credentials(), then authenticated().
    check_credentials,
    start_tls,  ///< flush output, then shake hands: tls_established() or tls_failed()
    close,      ///< flush output, then close
  };

  static constexpr std::chrono::milliseconds kPauseTime{1000};

  /// The greeting is in take_output() at once, unless a handshake comes before it.
  explicit ServerSession(ServerSettings settings);

  /// May be called at any demand; what cannot be used yet is kept.
  void receive(std::string_view bytes);
  void resumed();
  void checked(Room room);
  /// From here on; before what a Room of client_over is told with.
  void set_client_room(ClientRoom room) { client_room_ = std::move(room); }
  void opened(Room room);
  /// queue_id: for the reply, when room is available: the message is on disk.
  void stored(Room room, std::string_view queue_id);
  /// What was learnt before the handshake no longer counts (RFC 3207 §4.2).
  void tls_established();
  /// reason: as in net::TlsFailed. The session is over, without a further word.
  void tls_failed(std::string_view reason);
  void authenticated(const std::string& user, AuthVerdict verdict);
  /// From here on; what is known of the client decides which they are.
  void set_envelope_rules(EnvelopeRules rules) { settings_.envelope = std::move(rules); }
  /// The client, as whom we know it now, has too many connections: 421.
  void turn_away(std::string text);
  /// The client has proved otherwise than by AUTH that it may relay.
  void identified();
  void timed_out(Overrun overrun);
  /// The client is gone; detail: how. Told only if it left something unfinished.
  void lost(std::string_view detail);
  /// We are about to stop: 421 now, or after the message that is being received.
  void shut_down();

  [[nodiscard]] std::string take_output();
  /// Message content, dots removed, with CRLF line ends; take it after every call while
  /// receiving().
  [[nodiscard]] std::string take_content();
  [[nodiscard]] std::vector<Rejection> take_rejections();
  [[nodiscard]] Credentials take_credentials();
  [[nodiscard]] Demand demand() const { return demand_; }
  [[nodiscard]] std::chrono::milliseconds pause_time() const { return pause_time_; }
  /// Between opened() and stored() of a message that may still be accepted. When it falls to
  /// false without stored(), the content taken so far is to be dropped.
  [[nodiscard]] bool receiving() const { return receiving_; }
  /// Octets of content are expected or being drained: the data timer runs, not the command timer.
  [[nodiscard]] bool in_content() const { return mode_ != Mode::command; }
  [[nodiscard]] const ServerTransaction& transaction() const { return transaction_; }
  /// The argument of EHLO or HELO; empty before it.
  [[nodiscard]] const std::string& helo() const { return helo_; }
  /// Who the client is by AUTH; empty: nobody.
  [[nodiscard]] const std::string& user() const { return user_; }
  /// "SMTP", "ESMTP", "ESMTPS", "ESMTPSA", "UTF8SMTP", "UTF8SMTPS" or "UTF8SMTPSA", for the
  /// Received field (RFC 5321 §4.4, RFC 3848, RFC 6531 §3.7.3).
  [[nodiscard]] std::string_view protocol() const;

 private:
  enum class Mode { command, data, bdat };
  enum class AuthStep { none, plain, login_user, login_password };

  // server_session.cc: lines, session commands, the error budget.
  void process();
  void take_line();
  void discard_line();
  [[nodiscard]] bool judge_start();
  void on_line(std::string_view line);
  void on_command(const Command& command);
  void reply(std::string_view text);
  void refuse(std::string_view stage, const Refusal& refusal, std::string recipients = {});
  void answer_refusal(std::string_view stage, const std::string& text);
  void note(Rejection rejection);
  void close_with(std::string_view text);
  void cut_off(std::string_view stage, std::string_view reason, const Refusal& why);
  [[nodiscard]] std::string_view stage() const;
  [[nodiscard]] std::string coded(const Refusal& refusal) const;
  [[nodiscard]] bool between_messages() const;
  [[nodiscard]] Refusal refusal_of(Room room) const;

  // server_greeting.cc: EHLO, and commands without use.
  void greet();
  void on_greeting_command(const Command& command);
  void on_junk(const Command& command);
  [[nodiscard]] bool spend_junk();

  // server_tls.cc
  void on_starttls(const Command& command);
  void break_off(std::string_view reason, std::string_view detail);

  // server_auth.cc
  void on_auth(const Command& command);
  [[nodiscard]] std::optional<Refusal> untimely_auth() const;
  void on_auth_response(std::string_view line);
  void on_plain(std::string_view message);
  void reject_credentials();
  [[nodiscard]] std::optional<Refusal> missing_authentication() const;

  // server_envelope.cc: MAIL and RCPT.
  void on_mail(const Command& command);
  [[nodiscard]] std::optional<Refusal> unacceptable_transaction() const;
  [[nodiscard]] std::optional<Refusal> unacceptable_recipient(const Address& recipient) const;
  void on_rcpt(const Command& command);
  [[nodiscard]] std::optional<Refusal> add_recipient(RcptCommand rcpt);
  void refuse_surplus(const Refusal& surplus, std::string address);
  void accept_recipient(RcptCommand rcpt);

  // server_staging.cc: a relay in staging.
  [[nodiscard]] bool simulate(const RcptCommand& rcpt);
  void answer_after(std::chrono::milliseconds delay, std::string text);
  [[nodiscard]] std::string staging_note() const;
  void reset();

  // server_content.cc: DATA, BDAT and the end of a message.
  void on_data(const Command& command);
  void on_bdat(const Command& command);
  [[nodiscard]] bool envelope_complete(std::string_view stage);
  void begin_content();
  void take_data();
  void take_bdat();
  void end_bdat_chunk();
  void end_content();
  [[nodiscard]] std::string recipients_text() const;
  void store_failed(std::string_view stage);
  void lose_receiving();

  ServerSettings settings_;
  Demand demand_ = Demand::read;
  Mode mode_ = Mode::command;
  std::string input_;
  std::size_t used_ = 0;  // octets of input_ already processed
  std::string output_;
  std::string held_reply_;  // said after a pause
  std::chrono::milliseconds pause_time_ = kPauseTime;
  std::string content_;
  std::vector<Rejection> rejections_;
  bool first_line_ = true;
  bool discarding_ = false;
  bool stopping_ = false;
  int long_lines_ = 0;
  int errors_ = 0;
  int junk_ = 0;
  std::string helo_;
  bool esmtp_ = false;
  AuthStep auth_step_ = AuthStep::none;
  int auth_failures_ = 0;
  Credentials credentials_;
  std::string user_;
  bool identified_ = false;

  // The transaction in progress.
  ClientRoom client_room_;
  bool mail_given_ = false;
  bool smtputf8_ = false;
  ServerTransaction transaction_;
  std::unordered_set<std::string> known_recipients_;
  std::size_t surplus_recipients_ = 0;  // refused because of a limit
  bool receiving_ = false;
  DotUnstuffer unstuffer_;
  ContentCheck check_;
  std::uint64_t chunk_left_ = 0;
  bool chunk_last_ = false;
  bool in_bdat_ = false;                  // a BDAT sequence is under way
  std::optional<Refusal> chunk_refusal_;  // for once a chunk that is not wanted was drained
};

}  // namespace relay::smtp
