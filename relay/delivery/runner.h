// Drives one DeliveryAttempt: performs each step with the worker's clients and feeds the answer
// back. Knows nothing about SMTP, policy or reports. Belongs to one event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "relay/delivery/attempt.h"
#include "relay/delivery/connection_pool.h"
#include "relay/delivery/conversation.h"
#include "relay/delivery/dead_addresses.h"
#include "relay/delivery/dialogue_trace.h"
#include "relay/delivery/failover.h"
#include "relay/delivery/message_signer.h"
#include "relay/delivery/pending_queue.h"
#include "relay/delivery/policy_resolver.h"
#include "relay/delivery/token_source.h"
#include "relay/delivery/upstream_states.h"
#include "relay/log.h"
#include "relay/net/dns_client.h"
#include "relay/net/event_loop.h"
#include "relay/net/operation.h"

namespace relay::delivery {

/// The clients that a worker's runners share; outlives them.
struct RunnerContext {
  net::EventLoop& loop;
  const net::Clock& clock;
  net::DnsClient& dns;
  PolicyResolver& policies;
  ConnectionPool& pool;
  const ConversationContext& conversations;
  Log& log;
  TokenSource& tokens;
  UpstreamStates& upstreams;
  DeadAddresses& dead_addresses;
  MessageSigner& signer;
  /// How long a dead address is left alone and a dead upstream tried last; 0: not at all.
  std::chrono::milliseconds host_retry;
  DialogueTrace* trace = nullptr;  ///< null: nothing is traced
};

/// One next hop, and all that differs by it.
struct Way {
  AttemptSettings settings;
  NextHop next_hop;
  smtp::ClientSettings client;
  std::optional<net::SocketAddress> source_ipv4{}, source_ipv6{};
  std::shared_ptr<const Credentials> credentials{};  ///< null: none
};

/// What the worker needs to settle and log an attempt.
struct AttemptEnd {
  Finished finished;
  std::shared_ptr<const sts::CachedPolicy> policy;
  sts::PolicyVerdict::Source policy_source = sts::PolicyVerdict::Source::none;
  /// "TLSv1.3 TLS_AES_256_GCM_SHA384 verified" of the last session with each host and IP address.
  std::map<std::pair<std::string, std::string>, std::string> tls;
  std::map<std::pair<std::string, std::string>, std::uint16_t> ports;  ///< of these addresses
  net::WallTime started_at{};
  std::optional<net::WallTime> mail_at;  ///< when the last transaction began
  WindowFeedback feedback = WindowFeedback::none;

  /// That of the session which brought the outcome; empty: there was none, or it never came to TLS.
  [[nodiscard]] std::string tls_of(const RecipientOutcome& outcome) const;
  /// Of the host that the outcome names; empty: it names none.
  [[nodiscard]] std::string port_of(const RecipientOutcome& outcome) const;
};

class Runner {
 public:
  using Done = std::function<void(AttemptEnd)>;

  /// ways: in the order to try, at least one.
  Runner(const RunnerContext& context, std::vector<Way> ways,
         std::shared_ptr<const spool::Envelope> envelope, std::chrono::milliseconds deadline,
         Done done);
  ~Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// done runs once, from the loop, and may destroy the runner.
  void start();
  /// The deadline has passed (its timer calls this): no further host is tried, and what is under
  /// way ends, except that content once begun keeps the deadlines of its own stages (RFC 5321
  /// §4.5.3.2.4 to 6), or a large message over a slow link would never arrive.
  void pass_deadline();

 private:
  void begin_way();
  void finish();
  void visit(Step step);
  void perform(const FindPolicy& step);
  void perform(const FindMx& step);
  void perform(const FindAddresses& step);
  void perform(const FindAlias& step);
  void perform(const FindTlsa& step);
  void perform(const Converse& step);
  void perform(Finished finished);
  void addresses_found();
  void open(MessageJob job, std::shared_ptr<const smtp::ClientAuth> auth);
  void fetch_token(MessageJob job);
  void conversation_over(const ConversationReport& report);
  void conversed(const ConversationReport& report);
  void note_credentials(const ConversationReport& report);
  void note_reachability(const ConversationReport& report);
  void refused(const std::string& words);
  [[nodiscard]] ConversationTarget target() const;
  [[nodiscard]] const Way& way() const { return ways_[way_]; }
  [[nodiscard]] std::string host_name() const;
  void log_notes();
  void log_staple(const std::string& host, const net::TlsOutcome& outcome);
  /// Where the dialogue goes; empty: nobody asked for it.
  [[nodiscard]] DialogueLines::Sink trace() const;
  void log_session(const ConversationReport& report);
  [[nodiscard]] smtp::ClientTransaction transaction(
      const std::vector<std::size_t>& recipients) const;

  const RunnerContext& context_;
  std::shared_ptr<const spool::Envelope> envelope_;
  std::vector<Way> ways_;
  std::size_t way_ = 0;
  Failover failover_;
  std::optional<DeliveryAttempt> attempt_;
  std::chrono::milliseconds deadline_after_;
  Done done_;
  net::Timer deadline_;
  net::Operation lookup_;
  net::Operation second_lookup_;
  std::optional<net::DnsResult> a_, aaaa_;
  std::optional<Converse> converse_;
  std::unique_ptr<Conversation> conversation_;
  net::WallTime started_at_{};
  std::optional<net::WallTime> mail_at_;
  std::map<std::pair<std::string, std::string>, std::string> tls_;
  std::map<std::pair<std::string, std::string>, std::uint16_t> ports_;
  enum class Deadline { ahead, passed } deadline_state_ = Deadline::ahead;
  WindowFeedback feedback_ = WindowFeedback::none;
  std::shared_ptr<const sts::CachedPolicy> policy_;
};

/// How a conversation moves its destination's window: only by what happened to the connection.
[[nodiscard]] WindowFeedback window_feedback(const ConversationReport& report);

/// "TLSv1.3 TLS_AES_256_GCM_SHA384 verified", "none (not-advertised)" …, for the log.
[[nodiscard]] std::string describe(const net::TlsOutcome& outcome);

}  // namespace relay::delivery
