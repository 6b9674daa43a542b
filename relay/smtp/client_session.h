// The client side of one SMTP connection (RFC 5321, 2920, 3030, 3207, 1870, 6152, 6531, 3461,
// 8689, 4954, 8314) as an engine without I/O: bytes and events in; bytes and one demand out. It
// runs EHLO, STARTTLS, EHLO and AUTH once, then any number of mail transactions. After the
// handshake it sends nothing but QUIT unless its TlsRequirement is met.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/tls_outcome.h"
#include "relay/smtp/client_auth.h"
#include "relay/smtp/dot_stuffing.h"
#include "relay/smtp/extensions.h"
#include "relay/smtp/reply.h"
#include "relay/smtp/tls_requirement.h"

namespace relay::smtp {

/// Where in the conversation something happened.
enum class Stage {
  connect,
  greeting,
  ehlo,
  starttls,
  tls_handshake,
  auth,
  mail,
  rcpt,
  data,
  body,
  final_dot,
  rset,
  quit
};
[[nodiscard]] std::string_view name(Stage stage);  ///< "greeting", "final-dot" …

/// RFC 5321 §4.5.3.2, as settings.
struct ClientTimeouts {
  std::chrono::milliseconds connect{30'000}, greeting{300'000}, ehlo{300'000}, starttls{60'000},
      mail{300'000}, rcpt{300'000}, data{120'000}, body{180'000}, final_dot{600'000}, rset{20'000};
};

/// When TLS begins: after STARTTLS, or with the connection (RFC 8314 §3.3).
enum class TlsStart { starttls, implicit };

struct ClientSettings {
  std::string helo_name;
  TlsRequirement tls = TlsRequirement::opportunistic();
  ClientTimeouts timeouts;
  bool force_8bit = false;  ///< send 8-bit content to servers without 8BITMIME
  TlsStart tls_start = TlsStart::starttls;
  std::shared_ptr<const ClientAuth> auth;  ///< null: no AUTH
};

/// One recipient of a transaction; parameters verbatim as received (RFC 3461), empty when absent.
struct ClientRecipient {
  std::string address;  ///< "local@domain", without angle brackets
  std::string notify;   ///< "SUCCESS,FAILURE", "NEVER"
  std::string orcpt;    ///< "rfc822;user@example.com" (xtext)
};

/// Whether MAIL carries REQUIRETLS (RFC 8689 §2): for a message that asks for it, on a session
/// whose TlsRequirement proves the host's name.
enum class RequireTls { no, yes };

/// dry_run: the recipients are named, and then the transaction is given up (RSET): no content is
/// ever sent. Recipients that the server takes then count as delivered.
enum class Purpose { delivery, dry_run };

struct ClientTransaction {
  std::string sender;                       ///< empty: the null reverse-path
  std::vector<ClientRecipient> recipients;  ///< at least one
  std::uint64_t size = 0;                   ///< octets of content with CRLF line ends
  bool eight_bit = false;
  bool smtputf8 = false;
  /// yes: a server that does not announce REQUIRETLS inside TLS is unsuitable, with 5.7.30 (no TLS:
  /// 5.7.10). Only with the null reverse-path it gets the message, without the parameter.
  RequireTls requiretls = RequireTls::no;
  std::string ret;    ///< "FULL", "HDRS" or empty
  std::string envid;  ///< xtext or empty
  Purpose purpose = Purpose::delivery;
};

enum class Disposition {
  delivered,   ///< the final dot (or the recipient) was accepted for good
  deferred,    ///< 4xx for this recipient or the transaction
  rejected,    ///< 5xx for this recipient or the transaction
  unsuitable,  ///< this host lacks what the message needs (8BITMIME, REQUIRETLS …); another might
  not_tried,   ///< the session ended before the server answered about this recipient
  unknown,     ///< connection lost after the final dot, before its reply (RFC 1047)
};

struct RecipientResult {
  Disposition disposition = Disposition::not_tried;
  Stage stage = Stage::connect;
  std::optional<Reply> reply;  ///< what the server said, if it did
  std::string detail;          ///< one sentence when there is no reply
  std::string enhanced_code;   ///< RFC 3463 code to use for this result; never empty
  /// The server takes no more recipients in this transaction (452 4.5.3, RFC 9422 RCPTMAX) and
  /// took the message for some (RCPTMAX: or refused each one that was named): these may follow at
  /// once in a new one. disposition is deferred.
  bool too_many = false;
};

/// The end of one transaction. recipients: same order as the transaction's.
struct TransactionResult {
  std::vector<RecipientResult> recipients;
  /// The server offers DSN (RFC 3461) and so had NOTIFY, ORCPT, RET and ENVID.
  bool dsn = false;
};

/// Why a session is over.
struct SessionEnd {
  enum class Kind {
    quit,             ///< by our own wish
    tls_requirement,  ///< TlsRequirement not met (tls_outcome() says why)
    tls_failed,       ///< opportunistic handshake failed: a plaintext retry is possible
    refused,          ///< greeting, EHLO or 421 said no (reply)
    timeout,
    lost,         ///< connection closed or reset
    protocol,     ///< not SMTP
    credentials,  ///< AUTH failed (reply), is not offered, or must not be used on this session
  };
  Kind kind = Kind::quit;
  Stage stage = Stage::quit;
  std::optional<Reply> reply;
  std::string detail;  ///< one sentence for log and DSN
};

class ClientSession {
 public:
  enum class Demand {
    read,       ///< deliver bytes from the server, or timed_out() after timeout()
    start_tls,  ///< do the handshake, then tls_established()
    ready,      ///< idle: begin() a transaction or quit()
    send_body,  ///< feed body() slices, then body_end(); keep reading meanwhile
    close,      ///< flush output, then close the connection
  };

  explicit ClientSession(ClientSettings settings);

  void receive(std::string_view bytes);
  void tls_established(net::TlsOutcome outcome);
  void timed_out();
  /// The peer closed or the stream broke.
  void closed(std::string_view detail);

  /// Starts a transaction; demand() must be ready. On a reused session RSET rides in front of MAIL.
  void begin(ClientTransaction transaction);
  /// Message content with CRLF line ends, in slices of any cut; dot-stuffed here (§4.5.2).
  void body(std::string_view slice);
  void body_end();
  /// The content cannot be read to its end (disk error): the transaction must not complete. The
  /// connection is closed without the final dot.
  void body_failed();
  void quit();

  [[nodiscard]] std::string take_output();
  [[nodiscard]] Demand demand() const { return demand_; }
  /// How long the present wait may last.
  [[nodiscard]] std::chrono::milliseconds timeout() const;
  [[nodiscard]] Stage stage() const { return stage_; }
  /// Whole replies taken so far: each command has its own timeout (RFC 5321 §4.5.3.2).
  [[nodiscard]] std::uint64_t answers() const { return answers_; }
  /// The finished transaction's result, once.
  [[nodiscard]] std::optional<TransactionResult> take_result();
  /// Set when demand() is close.
  [[nodiscard]] const std::optional<SessionEnd>& end() const { return end_; }
  /// Absent until TLS was decided for this session, and for good when TLS was never reached
  /// (greeting refused …) or not wanted (plaintext retry).
  [[nodiscard]] const std::optional<net::TlsOutcome>& tls_outcome() const { return tls_outcome_; }
  /// First word of the server's EHLO (else greeting) reply, at most 255 octets; may be empty.
  [[nodiscard]] const std::string& server_name() const { return server_name_; }

 private:
  struct Awaited {
    Stage stage;
    std::size_t recipient = 0;  ///< stage rcpt only
  };
  enum class Progress { open, held, accepted, decided };  // held: not named, for RCPTMAX
  enum class AfterEnd { say_quit, just_close };

  // client_session.cc: greeting to ready, and every way to the end.
  void on_reply(Reply reply);
  void on_greeting(const Reply& reply);
  void on_ehlo(Reply reply);
  void on_starttls(const Reply& reply);
  void send(std::string_view line, Stage stage);
  void say_ehlo();
  void use_extensions(const Reply& reply);
  void without_tls(std::string reason, const Reply& reply);
  void become_ready();
  // client_login.cc: AUTH.
  void session_open();
  void on_auth(const Reply& reply);
  void without_credentials(std::string detail, std::optional<Reply> reply = std::nullopt);
  [[nodiscard]] bool may_authenticate() const;
  void out_of_step();
  void fault(std::string detail);
  void end_session(SessionEnd end, AfterEnd after);

  // client_envelope.cc: what is said of a message, and what is not even begun.
  [[nodiscard]] std::optional<RecipientResult> unsuitable() const;
  [[nodiscard]] std::optional<RecipientResult> unsuitable_for_requiretls() const;
  void refuse_unsendable();
  void limit_recipients();
  void decide_held();
  [[nodiscard]] bool delivered_some() const;
  void send_batch();
  void send_next();
  [[nodiscard]] std::string mail_command() const;
  [[nodiscard]] std::string rcpt_command(const ClientRecipient& recipient) const;

  // client_chunks.cc: content by BDAT.
  void begin_chunks();
  void send_chunk(std::string_view last);
  void on_chunk(const Reply& reply);

  // client_transaction.cc: the answers, from MAIL to the final dot, and the content.
  void on_transaction_reply(const Reply& reply);
  void on_mail(const Reply& reply);
  void on_rcpt(std::size_t index, const Reply& reply);
  void on_data(const Reply& reply);
  void on_final_dot(const Reply& reply);
  void on_early_reply(const Reply& reply);
  void advance();
  void decide(std::size_t index, RecipientResult result);
  void decide_accepted(const RecipientResult& result);
  void decide_all(const RecipientResult& result);
  void abandon_transaction(const SessionEnd& end);
  void end_dry_run();
  void distrust_refusals();
  void close_transaction();
  void finish_transaction();

  ClientSettings settings_;
  Demand demand_ = Demand::read;
  Stage stage_ = Stage::greeting;
  std::optional<SessionEnd> end_;
  std::optional<net::TlsOutcome> tls_outcome_;
  std::string server_name_;
  std::string output_;
  ReplyParser parser_;
  Extensions extensions_;
  bool said_helo_ = false;
  bool in_tls_ = false;
  std::optional<AuthDialogue> dialogue_;
  std::uint64_t transactions_ = 0;
  std::uint64_t answers_ = 0;

  // The transaction in progress.
  bool in_transaction_ = false;
  ClientTransaction transaction_;
  std::vector<RecipientResult> results_;
  std::vector<Progress> progress_;
  std::size_t next_command_ = 0;  // 0: MAIL, 1..n: RCPT, n + 1: DATA, then none
  std::size_t accepted_ = 0;
  std::deque<Awaited> awaited_;
  bool needs_rset_ = false;
  bool mail_refused_ = false;
  DotStuffer stuffer_;
  // By BDAT: before the first chunk, while all went well, after a refused one.
  enum class Chunks { off, sent, refused } chunks_ = Chunks::off;
  std::string chunk_;  ///< content not sent yet: the last chunk is marked as such
  std::optional<TransactionResult> result_;
};

}  // namespace relay::smtp
