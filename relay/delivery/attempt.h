// One delivery attempt for one message and the recipients of one domain, as a step machine:
// MX → policy → per host: verdict → addresses → TLSA → conversation → finished. No I/O: the driver
// performs each step and feeds the answer back. A host that a policy refuses is passed over
// before any connection; a failing one is passed over for the next (RFC 8461 §5.1, RFC 5321 §5.1).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "relay/delivery/dane.h"
#include "relay/delivery/dead_addresses.h"
#include "relay/delivery/destination.h"
#include "relay/delivery/outcome.h"
#include "relay/delivery/pending_recipients.h"
#include "relay/delivery/reply_rules.h"
#include "relay/delivery/session_result.h"
#include "relay/delivery/tls_policy.h"
#include "relay/delivery/troubles.h"
#include "relay/net/clock.h"
#include "relay/net/dns_message.h"
#include "relay/smtp/tls_requirement.h"
#include "relay/spool/message.h"
#include "rpt/result.h"
#include "sts/discovery.h"

namespace relay::delivery {

// --- Steps -----------------------------------------------------------------------------------
struct FindMx {
  net::DomainName domain;
};
enum class Freshness {
  cached,      ///< by the cache and the TXT record in force
  past_cache,  ///< the TXT record asked for past every cache
  known,       ///< the cache alone, no lookup
};
struct FindPolicy {
  net::DomainName domain;
  Freshness freshness = Freshness::cached;
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
  /// The policy domain, once for each host or session that a report-only rule would have refused.
  std::vector<std::string> would_refuse;
  std::chrono::milliseconds pause{0};  ///< for which the destination is to be left alone
};

using Step =
    std::variant<FindMx, FindPolicy, FindAddresses, FindAlias, FindTlsa, Converse, Finished>;

/// Something an operator wants to see about a host that ended without a conversation.
struct AttemptNote {
  std::string host;
  std::string reason_code;  ///< "mx-not-in-policy", "no-such-host", "recently-unreachable" …
  std::string text;
};

/// Whether an address could not be reached a moment ago and is to be left alone.
using FindDead =
    std::function<std::optional<DeadAddresses::Mark>(const net::SocketAddress&, net::WallTime now)>;

struct AttemptSettings {
  std::string own_name;
  std::vector<net::SocketAddress> own_addresses;  ///< where this relay listens
  std::size_t hosts = 20;
  std::size_t addresses_per_host = 5;
  std::size_t sessions = 2;  ///< that got past EHLO and then failed
  PrivateAddresses private_addresses = PrivateAddresses::refused;
  Families families = Families::ipv6_first;
  std::shared_ptr<const LocalRule> rule;  ///< for the policy domain; null: the default
  Composition composition = Composition::dane_decides;
  std::vector<conf::ReplyRule> reply_rules;
  std::uint16_t tlsa_port = 25;  ///< in the owner name of TLSA records (RFC 7672 §2.2.3)
  Shuffle shuffle;
  FindDead find_dead{};  ///< empty: nothing is remembered
};

class DeliveryAttempt {
 public:
  /// envelope: with the recipients of this group only; outlives the attempt.
  DeliveryAttempt(AttemptSettings settings, NextHop next_hop,
                  std::shared_ptr<const spool::Envelope> envelope);

  [[nodiscard]] Step start(net::WallTime now);
  /// In place of start(): the next hop is not to be spoken to now; everyone is deferred.
  [[nodiscard]] Step on_held(std::string why);
  [[nodiscard]] Step on_mx(const net::DnsResult& answer, net::WallTime now);
  [[nodiscard]] Step on_policy(const sts::PolicyVerdict& verdict, net::WallTime now);
  [[nodiscard]] Step on_addresses(const net::DnsResult& a, const net::DnsResult& aaaa,
                                  net::WallTime now);
  [[nodiscard]] Step on_alias(const net::DnsResult& answer, net::WallTime now);
  [[nodiscard]] Step on_tlsa(const net::DnsResult& answer, net::WallTime now);
  [[nodiscard]] Step on_conversation(const ConversationReport& report, net::WallTime now);
  /// The attempt took too long: what is pending is deferred, after what a conversation that was
  /// under way still brought.
  [[nodiscard]] Finished on_deadline(net::WallTime now);
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
  [[nodiscard]] TlsInputs inputs() const;
  Step hosts_known(net::WallTime now);
  Step first_host(net::WallTime now);
  Step next_host(net::WallTime now);
  Step use_address(net::WallTime now);
  Step next_address(net::WallTime now);
  bool known_dead(net::WallTime now);
  Step walk_ended(net::WallTime now);
  Step use_addresses(const net::DnsResult& a, const net::DnsResult& aaaa, net::WallTime now);
  Step on_tlsa_step(TlsaStep step, net::WallTime now);
  Step finish(const Trouble& trouble);
  Step undeliverable(const Undeliverable& end);
  Step converse(smtp::TlsRequirement requirement, ConnectionUse use);
  Step after_session(const SessionUsed& session, net::WallTime now);
  Step after_end(const SessionUsed& session, net::WallTime now);
  [[nodiscard]] smtp::TransactionResult weighed(const smtp::TransactionResult& transaction);
  [[nodiscard]] Refuser refuser() const;
  [[nodiscard]] bool other_family_left() const;
  Step other_family(net::WallTime now);
  bool refused(const HostDane* dane, net::WallTime now);
  void tls_trouble(const SessionUsed& session);
  [[nodiscard]] SessionFacts session_facts(net::WallTime now) const;
  void record_session(const ConversationReport& report, net::WallTime now);
  void count_policy_fault(net::WallTime now);
  void count(const SessionFacts& facts);
  void count_would_refuse(const net::TlsOutcome* outcome);
  void drop_self(std::string_view how);
  [[nodiscard]] bool leads_to_self() const;
  void note(std::string reason_code, std::string text);
  void trouble(Trouble::Kind kind, std::string status, std::string text,
               std::optional<smtp::Reply> reply = std::nullopt);
  [[nodiscard]] std::string host_name() const;
  [[nodiscard]] std::string ip() const;

  AttemptSettings settings_;
  NextHop next_hop_;
  std::shared_ptr<const spool::Envelope> envelope_;

  std::shared_ptr<const sts::CachedPolicy> policy_;
  sts::PolicyVerdict::Source policy_source_ = sts::PolicyVerdict::Source::none;
  std::optional<sts::DiscoveryFault> policy_fault_;
  bool policy_unknown_ = false;  // there is none, or nobody could say
  enum class PolicyCheck { first, last } policy_check_ = PolicyCheck::first;
  std::optional<Undeliverable> no_host_;  ///< what the MX answer came to, if no host

  MxOrigin mx_origin_ = MxOrigin::insecure;
  std::vector<MxHost> hosts_;
  std::size_t host_ = 0;
  HostDecision decision_;
  std::optional<TlsaSearch> tlsa_search_;
  std::optional<HostDane> dane_;
  std::vector<net::SocketAddress> addresses_;
  std::size_t address_ = 0;
  std::size_t failed_sessions_ = 0;
  enum class Family { as_found, switching } family_ = Family::as_found;
  std::optional<Converse> conversation_;

  PendingRecipients pending_;
  Troubles troubles_;
  std::vector<AttemptNote> notes_;
  Finished result_;
};

}  // namespace relay::delivery
