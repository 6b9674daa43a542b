// One delivery attempt for one message and the recipients of one domain, as a step machine:
// policy → MX → per host: verdict → addresses → conversation → finished. No I/O: the driver
// performs each step and feeds the answer back. A host that the policy refuses is passed over
// before any connection; a failing one is passed over for the next (RFC 8461 §5.1, RFC 5321 §5.1).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "relay/delivery/destination.h"
#include "relay/delivery/outcome.h"
#include "relay/delivery/session_result.h"
#include "relay/delivery/tls_policy.h"
#include "relay/net/clock.h"
#include "relay/net/dns_message.h"
#include "relay/smtp/tls_requirement.h"
#include "relay/spool/message.h"
#include "rpt/result.h"
#include "sts/discovery.h"

namespace relay::delivery {

// --- Steps -----------------------------------------------------------------------------------
enum class Freshness { cached, past_cache };

struct FindPolicy {
  net::DomainName domain;
  Freshness freshness = Freshness::cached;
};
struct FindMx {
  net::DomainName domain;
};
struct FindAddresses {
  net::DomainName host;
};
enum class ConnectionUse { pooled_or_new, only_new };
/// Send the message to these recipients (positions in the envelope) over one session.
struct Converse {
  std::optional<net::DomainName> host;  ///< SNI and reference name; absent for bare addresses
  net::SocketAddress address;
  smtp::TlsRequirement requirement;
  ConnectionUse use = ConnectionUse::pooled_or_new;
  std::vector<std::size_t> recipients;
};
/// The end. Every recipient of the envelope has exactly one outcome.
struct Finished {
  std::vector<RecipientOutcome> outcomes;
  std::vector<rpt::SessionResult> sessions;
};

using Step = std::variant<FindPolicy, FindMx, FindAddresses, Converse, Finished>;

/// Something an operator wants to see about a host that ended without a conversation.
struct AttemptNote {
  std::string host;
  std::string reason_code;  ///< "mx-not-in-policy", "no-such-host", "policy-rechecked" …
  std::string text;
};

struct AttemptSettings {
  std::string own_name;
  std::vector<net::SocketAddress> own_addresses;  ///< where this relay listens
  std::size_t hosts = 20;
  std::size_t addresses_per_host = 5;
  std::size_t sessions = 2;  ///< that got past EHLO and then failed
  PrivateAddresses private_addresses = PrivateAddresses::refused;
  UseIpv6 ipv6 = UseIpv6::yes;
  Shuffle shuffle;
};

class DeliveryAttempt {
 public:
  /// envelope: with the recipients of this group only; outlives the attempt.
  DeliveryAttempt(AttemptSettings settings, NextHop next_hop,
                  std::shared_ptr<const spool::Envelope> envelope);

  [[nodiscard]] Step start(net::WallTime now);
  [[nodiscard]] Step on_policy(const sts::PolicyVerdict& verdict, net::WallTime now);
  [[nodiscard]] Step on_mx(const net::DnsResult& answer, net::WallTime now);
  [[nodiscard]] Step on_addresses(const net::DnsResult& a, const net::DnsResult& aaaa,
                                  net::WallTime now);
  [[nodiscard]] Step on_conversation(const ConversationReport& report, net::WallTime now);
  /// The attempt took too long: what is pending is deferred.
  [[nodiscard]] Finished on_deadline(net::WallTime now);
  /// The same when a conversation was under way: it counts, what it left pending is deferred.
  [[nodiscard]] Finished on_deadline(const ConversationReport& report, net::WallTime now);

  /// Notes made since the last call.
  [[nodiscard]] std::vector<AttemptNote> take_notes();
  /// The policy in force for this attempt, for the log; null: none.
  [[nodiscard]] const sts::CachedPolicy* policy() const { return policy_.get(); }
  [[nodiscard]] sts::PolicyVerdict::Source policy_source() const { return policy_source_; }
  [[nodiscard]] const std::optional<sts::DiscoveryFault>& policy_fault() const {
    return policy_fault_;
  }

 private:
  /// Why a host, or the attempt as a whole, did not take the pending recipients.
  struct Trouble {
    enum class Kind { temporary, policy, host_missing, unsuitable };
    Kind kind = Kind::temporary;
    std::string status, text, host, ip;
    std::optional<smtp::Reply> reply;
  };

  Step first_host(net::WallTime now);
  Step next_host(net::WallTime now);
  Step next_address(net::WallTime now);
  Step walk_ended(net::WallTime now);
  Step finish(const Trouble& trouble);
  Step undeliverable(const Undeliverable& end);
  Step converse(smtp::TlsRequirement requirement, ConnectionUse use);
  Step after_session(const ConversationReport& report, net::WallTime now);
  bool refused_by_policy(net::WallTime now);
  void settle_recipients(const ConversationReport& report);
  void settle_recipient(std::size_t recipient, const smtp::RecipientResult& result);
  [[nodiscard]] SessionFacts session_facts(net::WallTime now) const;
  void record_session(const ConversationReport& report, net::WallTime now);
  void count_policy_fault(net::WallTime now);
  void count(const SessionFacts& facts);
  void drop_self(std::string_view how);
  [[nodiscard]] bool leads_to_self() const;
  void note(std::string reason_code, std::string text);
  void trouble(Trouble::Kind kind, std::string status, std::string text,
               std::optional<smtp::Reply> reply = std::nullopt);
  [[nodiscard]] const Trouble& decisive_trouble() const;
  [[nodiscard]] std::string host_name() const;
  [[nodiscard]] std::string ip() const;
  void add_outcome(std::size_t recipient, RecipientOutcome::Result result, std::string status,
                   std::string text, const std::optional<smtp::Reply>& reply,
                   Certainty certainty = Certainty::known);

  AttemptSettings settings_;
  NextHop next_hop_;
  std::shared_ptr<const spool::Envelope> envelope_;

  std::shared_ptr<const sts::CachedPolicy> policy_;
  sts::PolicyVerdict::Source policy_source_ = sts::PolicyVerdict::Source::none;
  std::optional<sts::DiscoveryFault> policy_fault_;
  enum class PolicyCheck { first, last } policy_check_ = PolicyCheck::first;

  std::vector<MxHost> hosts_;
  std::size_t host_ = 0;
  HostDecision decision_;
  std::vector<net::SocketAddress> addresses_;
  std::size_t address_ = 0;
  std::size_t failed_sessions_ = 0;
  std::optional<Converse> conversation_;

  std::vector<std::size_t> pending_;     ///< recipients without an outcome
  std::vector<std::size_t> send_again_;  ///< refused as too many for one transaction
  std::vector<Trouble> troubles_;
  std::vector<AttemptNote> notes_;
  Finished result_;
};

}  // namespace relay::delivery
