#include "relay/delivery/attempt.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace relay::delivery {
namespace {

/// Nothing the server said about this transaction: a pooled connection that had died.
bool nothing_answered(const SessionUsed& session) {
  if (!session.transaction) {
    return true;
  }
  return std::all_of(session.transaction->recipients.begin(), session.transaction->recipients.end(),
                     [](const smtp::RecipientResult& result) {
                       return result.disposition == smtp::Disposition::not_tried && !result.reply;
                     });
}

std::string end_text(const smtp::SessionEnd& end) {
  return end.reply ? end.reply->text() : end.detail;
}

net::DnssecState dnssec_of(const net::DnsResult& result) {
  if (const auto* answer = std::get_if<net::DnsAnswer>(&result)) {
    return answer->dnssec;
  }
  const auto* none = std::get_if<net::DnsNoRecord>(&result);
  return none != nullptr ? none->dnssec : net::DnssecState::insecure;
}

}  // namespace

DeliveryAttempt::DeliveryAttempt(AttemptSettings settings, NextHop next_hop,
                                 std::shared_ptr<const spool::Envelope> envelope)
    : settings_(std::move(settings)),
      next_hop_(std::move(next_hop)),
      envelope_(std::move(envelope)),
      pending_(envelope_) {}

TlsInputs DeliveryAttempt::inputs() const {
  spool::MessageTls message = envelope_->tls;
  if (envelope_->origin == spool::Origin::report) {
    message = spool::MessageTls::optional;  // RFC 8460 §3
  } else if (message == spool::MessageTls::required && envelope_->sender.empty()) {
    // A bounce that insists on REQUIRETLS would be lost: it asks where it can (RFC 8689 §5).
    message = spool::MessageTls::normal;
  }
  return {policy_.get(), settings_.rule, message, mx_origin_, settings_.composition};
}

Step DeliveryAttempt::start(net::WallTime now) {
  if (const auto* fixed = std::get_if<FixedAddress>(&next_hop_.target)) {
    mx_origin_ = MxOrigin::route;
    addresses_ = {fixed->address};
    const HostDane none;  // an address has no TLSA records
    decision_ = decide(inputs(), &none, fixed->address.ip());
    return decision_.requirement ? converse(*decision_.requirement, ConnectionUse::pooled_or_new)
                                 : walk_ended(now);
  }
  if (const auto* fixed = std::get_if<FixedHost>(&next_hop_.target)) {
    mx_origin_ = MxOrigin::route;
    hosts_ = {MxHost{fixed->name, 0, MxHost::Source::route}};
    return FindPolicy{fixed->name, Freshness::cached};
  }
  return FindMx{std::get<MxLookup>(next_hop_.target).name};
}

Step DeliveryAttempt::on_mx(const net::DnsResult& answer, net::WallTime /*now*/) {
  const net::DomainName& domain = std::get<MxLookup>(next_hop_.target).name;
  auto found = mx_hosts(answer, domain, settings_.own_name, settings_.hosts, settings_.shuffle);
  if (dnssec_of(answer) == net::DnssecState::secure) {
    mx_origin_ = MxOrigin::secure;
  }
  if (const auto* end = std::get_if<Undeliverable>(&found)) {
    if (end->kind == Undeliverable::Kind::temporary) {
      return undeliverable(*end);
    }
    // Under a policy a forged answer must not be able to bounce mail (RFC 8461 §5.1, §10.2); but
    // mail to a null MX is no reason to look for one (RFC 7505).
    no_host_ = *end;
    return FindPolicy{
        domain, end->kind == Undeliverable::Kind::null_mx ? Freshness::known : Freshness::cached};
  }
  hosts_ = std::move(std::get<std::vector<MxHost>>(found));
  return FindPolicy{domain, Freshness::cached};
}

Step DeliveryAttempt::on_policy(const sts::PolicyVerdict& verdict, net::WallTime now) {
  const bool again = policy_check_ == PolicyCheck::last;
  policy_unknown_ =
      verdict.policy == nullptr && (verdict.fault.has_value() || verdict.record_unknown);
  if (again && same_policy(verdict.policy.get(), policy_.get())) {
    count_policy_fault(now);
    return finish(troubles_.decisive());
  }
  policy_ = verdict.policy;
  policy_source_ = verdict.source;
  policy_fault_ = verdict.fault;
  if (policy_ != nullptr && settings_.rule != nullptr && settings_.rule->after_first_contact) {
    settings_.rule = settings_.rule->after_first_contact;
  }
  if (no_host_) {
    return undeliverable(*no_host_);
  }
  if (!verdict.hold.empty() && !exempted(settings_.rule.get()) &&
      inputs().message != spool::MessageTls::optional) {
    trouble(Trouble::Kind::temporary, "4.7.0", verdict.hold);
    return walk_ended(now);
  }
  if (again) {
    note("policy-changed", "the policy changed since this attempt began; hosts are tried again");
    troubles_.clear();
    failed_sessions_ = 0;
  }
  return first_host(now);
}

Step DeliveryAttempt::first_host(net::WallTime now) {
  host_ = 0;
  return hosts_known(now);
}

Step DeliveryAttempt::next_host(net::WallTime now) {
  ++host_;
  return hosts_known(now);
}

Step DeliveryAttempt::hosts_known(net::WallTime now) {
  addresses_.clear();
  address_ = 0;
  dane_.reset();
  // Sessions that failed for reasons of their own are bounded; hosts passed over by policy are not,
  // or a policy with two broken hosts would hide the third, good one.
  for (; host_ < hosts_.size() && failed_sessions_ < settings_.sessions; ++host_) {
    if (dane_first(inputs()) || !refused(nullptr, now)) {
      return FindAddresses{hosts_[host_].name};
    }
  }
  return walk_ended(now);
}

bool DeliveryAttempt::refused(const HostDane* dane, net::WallTime now) {
  const std::string& host = hosts_[host_].name.text();
  decision_ = decide(inputs(), dane, host);
  if (decision_.requirement) {
    return false;
  }
  const bool by_sender = decision_.refusal == Refusal::mx_not_trusted;
  std::string why = explain(decision_, inputs(), host);
  note(std::string(name(decision_.refusal)), why);
  trouble(by_sender ? Trouble::Kind::requiretls : Trouble::Kind::policy,
          by_sender ? "5.7.10" : "4.7.5", std::move(why));
  record_session(ConnectFailed{}, now);
  return true;
}

Step DeliveryAttempt::on_addresses(const net::DnsResult& a, const net::DnsResult& aaaa,
                                   net::WallTime now) {
  // A route's author knows what the name points to.
  const PrivateAddresses allowed = next_hop_.origin == NextHop::Origin::route
                                       ? PrivateAddresses::allowed
                                       : settings_.private_addresses;
  HostAddresses found =
      host_addresses(hosts_[host_].name, a, aaaa, next_hop_.port, allowed, settings_.ipv6);
  switch (found.problem) {
    case HostAddresses::Problem::none:
      addresses_ = std::move(found.usable);
      return use_addresses(a, aaaa, now);
    case HostAddresses::Problem::lookup_failed:
      note("address-lookup-failed", found.reason);
      trouble(Trouble::Kind::temporary, "4.4.3", found.reason);
      break;
    case HostAddresses::Problem::no_such_host:
      note("no-such-host", found.reason);
      trouble(Trouble::Kind::host_missing, "5.4.4", found.reason);
      break;
    case HostAddresses::Problem::no_address:
      // A host that an MX record names is there; its addresses may come back (RFC 5321 §5.1).
      note("no-address", found.reason);
      if (hosts_[host_].source == MxHost::Source::implicit) {
        trouble(Trouble::Kind::host_missing, "5.4.4", found.reason);
      } else {
        trouble(Trouble::Kind::temporary, "4.4.4", found.reason);
      }
      break;
    case HostAddresses::Problem::refused:
      note("private-address", found.reason);
      trouble(Trouble::Kind::host_missing, "5.4.4",
              found.reason + "; a route that names the host would allow them");
      break;
  }
  return next_host(now);
}

Step DeliveryAttempt::use_addresses(const net::DnsResult& a, const net::DnsResult& aaaa,
                                    net::WallTime now) {
  if (addresses_.size() > settings_.addresses_per_host) {
    addresses_.resize(settings_.addresses_per_host, addresses_.front());
  }
  if (leads_to_self()) {
    drop_self("is an address this relay listens on");
    return next_host(now);
  }
  tlsa_search_.emplace(TlsaSearch::Subject{hosts_[host_].name, *next_hop_.policy_domain(),
                                           mx_origin_, settings_.tlsa_port});
  return on_tlsa_step(
      exempted(settings_.rule.get()) ? TlsaStep(HostDane{}) : tlsa_search_->start(a, aaaa), now);
}

Step DeliveryAttempt::on_alias(const net::DnsResult& answer, net::WallTime now) {
  return on_tlsa_step(tlsa_search_->on_alias(answer), now);
}

Step DeliveryAttempt::on_tlsa(const net::DnsResult& answer, net::WallTime now) {
  return on_tlsa_step(tlsa_search_->on_tlsa(answer), now);
}

Step DeliveryAttempt::on_tlsa_step(TlsaStep step, net::WallTime now) {
  if (auto* alias = std::get_if<FindAlias>(&step)) {
    return std::move(*alias);
  }
  if (auto* tlsa = std::get_if<FindTlsa>(&step)) {
    return std::move(*tlsa);
  }
  dane_ = std::move(std::get<HostDane>(step));
  if (refused(&*dane_, now)) {
    return next_host(now);
  }
  if (decision_.refusal_unenforced != Refusal::none) {
    count_would_refuse(nullptr);
  }
  return converse(*decision_.requirement, ConnectionUse::pooled_or_new);
}

Step DeliveryAttempt::converse(smtp::TlsRequirement requirement, ConnectionUse use) {
  std::optional<net::DomainName> host;
  if (!hosts_.empty()) {
    host = hosts_[host_].name;
  }
  conversation_ =
      Converse{host, addresses_[address_], std::move(requirement), use, pending_.positions()};
  return *conversation_;
}

Step DeliveryAttempt::on_conversation(const ConversationReport& report, net::WallTime now) {
  record_session(report, now);
  if (const auto* failed = std::get_if<ConnectFailed>(&report)) {
    trouble(Trouble::Kind::temporary, "4.4.1",
            fmt::format("connection to {} ({}) failed: {}", host_name(), ip(), failed->reason));
    return next_address(now);
  }
  const auto& session = std::get<SessionUsed>(report);
  if (session.origin == SessionUsed::Origin::reused && nothing_answered(session)) {
    return converse(conversation_->requirement, ConnectionUse::only_new);
  }
  if (session.transaction) {
    pending_.settle(*session.transaction, conversation_->recipients, {host_name(), ip()},
                    troubles_);
  }
  if (pending_.empty()) {
    result_.outcomes = pending_.take_outcomes();
    return std::move(result_);
  }
  return after_session(session, now);
}

Step DeliveryAttempt::after_session(const SessionUsed& session, net::WallTime now) {
  if (pending_.take_send_again()) {
    return converse(conversation_->requirement, ConnectionUse::pooled_or_new);
  }
  if (session.peer == SessionUsed::Peer::self) {
    drop_self("greets with its own name");
    return next_host(now);
  }
  if (session.end) {
    return after_end(session, now);
  }
  if (troubles_.newest() != Trouble::Kind::unsuitable) {
    ++failed_sessions_;
  }
  return next_host(now);
}

Step DeliveryAttempt::after_end(const SessionUsed& session, net::WallTime now) {
  const smtp::SessionEnd& end = *session.end;
  switch (end.kind) {
    case smtp::SessionEnd::Kind::tls_failed:
      if (auto retry = conversation_->requirement.after_failed_handshake()) {
        return converse(*retry, ConnectionUse::only_new);
      }
      [[fallthrough]];
    case smtp::SessionEnd::Kind::tls_requirement:
      tls_trouble(session);
      return next_address(now);
    case smtp::SessionEnd::Kind::quit:
      // Our own leave after the server's last word, which is in troubles_ already.
      ++failed_sessions_;
      return next_host(now);
    case smtp::SessionEnd::Kind::refused:
    case smtp::SessionEnd::Kind::timeout:
    case smtp::SessionEnd::Kind::lost:
    case smtp::SessionEnd::Kind::protocol:
      break;
  }
  trouble(Trouble::Kind::temporary, end.kind == smtp::SessionEnd::Kind::refused ? "4.3.2" : "4.4.2",
          fmt::format("session with {} ({}) ended at {}: {}", host_name(), ip(),
                      smtp::name(end.stage), end_text(end)),
          end.reply);
  if (end.stage <= smtp::Stage::ehlo) {
    return next_address(now);  // Not counted: a busy host must not keep mail from the others.
  }
  ++failed_sessions_;
  return next_host(now);
}

void DeliveryAttempt::tls_trouble(const SessionUsed& session) {
  const std::string complaint =
      session.tls ? tls_complaint(*session.tls, *decision_.requirement) : end_text(*session.end);
  const bool by_sender = inputs().message == spool::MessageTls::required;
  trouble(by_sender ? Trouble::Kind::requiretls : Trouble::Kind::policy,
          by_sender ? "5.7.10" : "4.7.5",
          fmt::format("{}; but {}", explain(decision_, inputs(), host_name()), complaint));
}

Step DeliveryAttempt::next_address(net::WallTime now) {
  if (++address_ < addresses_.size()) {
    return converse(*decision_.requirement, ConnectionUse::pooled_or_new);
  }
  return next_host(now);
}

bool DeliveryAttempt::leads_to_self() const {
  return std::any_of(addresses_.begin(), addresses_.end(), [&](const net::SocketAddress& address) {
    return std::find(settings_.own_addresses.begin(), settings_.own_addresses.end(), address) !=
           settings_.own_addresses.end();
  });
}

void DeliveryAttempt::drop_self(std::string_view how) {
  trouble(Trouble::Kind::host_missing, "5.4.6",
          fmt::format("mail loops back to this relay: {} ({}) {}", host_name(), ip(), how));
  // What follows in the list is of equal or worse preference: RFC 5321 §5.1 forbids it too.
  host_ = hosts_.size();
}

Step DeliveryAttempt::walk_ended(net::WallTime now) {
  const bool by_policy =
      troubles_.any(Trouble::Kind::policy) || troubles_.any(Trouble::Kind::requiretls);
  // RFC 8461 §5.1: before giving up under a policy, look for a newer one past every cache; and for
  // one that could vouch for the host where the sender demands that somebody does.
  const bool may_find = policy_ != nullptr || troubles_.any(Trouble::Kind::requiretls);
  const std::optional<net::DomainName> domain = next_hop_.policy_domain();
  if (by_policy && may_find && domain && policy_check_ == PolicyCheck::first) {
    policy_check_ = PolicyCheck::last;
    return FindPolicy{*domain, Freshness::past_cache};
  }
  count_policy_fault(now);
  return finish(troubles_.decisive());
}

Step DeliveryAttempt::finish(const Trouble& trouble) {
  // RFC 8461 §5.1, §10.2: under enforce a forged DNS answer must not be able to bounce mail. What
  // the right host itself said is beyond such doubt; and so is what the sender demands, once it is
  // known which policy there is.
  const bool permanent =
      trouble.kind == Trouble::Kind::unsuitable ||
      (trouble.kind == Trouble::Kind::requiretls && !policy_unknown_) ||
      (trouble.kind == Trouble::Kind::host_missing && !failures_stay_temporary(inputs()));
  std::string status = trouble.status;
  if (!permanent && status.starts_with('5')) {
    status.front() = '4';
  }
  pending_.finish(
      permanent ? PendingRecipients::Ending::failed : PendingRecipients::Ending::deferred, status,
      trouble);
  result_.outcomes = pending_.take_outcomes();
  return std::move(result_);
}

Step DeliveryAttempt::undeliverable(const Undeliverable& end) {
  return finish(Trouble{end.kind == Undeliverable::Kind::temporary ? Trouble::Kind::temporary
                                                                   : Trouble::Kind::host_missing,
                        end.status,
                        end.reason,
                        {},
                        {},
                        {}});
}

Finished DeliveryAttempt::on_deadline(const ConversationReport& report, net::WallTime now) {
  record_session(report, now);
  if (const auto* session = std::get_if<SessionUsed>(&report);
      session != nullptr && session->transaction) {
    pending_.settle(*session->transaction, conversation_->recipients, {host_name(), ip()},
                    troubles_);
  }
  return on_deadline(now);
}

Finished DeliveryAttempt::on_deadline(net::WallTime now) {
  count_policy_fault(now);
  return std::get<Finished>(
      finish(Trouble{Trouble::Kind::temporary,
                     "4.4.7",
                     "the attempt took too long and was ended; it will be repeated",
                     host_name(),
                     ip(),
                     {}}));
}

SessionFacts DeliveryAttempt::session_facts(net::WallTime now) const {
  SessionFacts facts;
  facts.report_domain = next_hop_.policy_domain()->text();
  facts.ended_at = now;
  facts.mx_host = host_name();
  facts.policy = exempted(settings_.rule.get()) ? nullptr : policy_;
  facts.policy_fault = policy_fault_;
  facts.coverage = decision_.coverage;
  facts.carried = envelope_->origin == spool::Origin::report ? SessionFacts::Carried::report
                                                             : SessionFacts::Carried::mail;
  return facts;
}

void DeliveryAttempt::record_session(const ConversationReport& report, net::WallTime now) {
  if (!next_hop_.policy_domain()) {
    return;
  }
  SessionFacts facts = session_facts(now);
  const auto* session = std::get_if<SessionUsed>(&report);
  if (decision_.requirement && (session == nullptr || !session->tls)) {
    return;  // Nothing about TLS was learned.
  }
  if (session != nullptr) {
    if (session->origin == SessionUsed::Origin::reused) {
      facts.connection = SessionFacts::Connection::reused;
    } else if (!conversation_->requirement.uses_tls()) {
      facts.connection = SessionFacts::Connection::plaintext_retry;
    }
    facts.receiving_ip = ip();
    facts.sending_ip = session->local_ip;
    facts.server_name = session->server_name;
    facts.tls = session->tls;
    if (decision_.refusal_unenforced == Refusal::none) {  // else it is counted already
      count_would_refuse(&*facts.tls);
    }
  }
  if (dane_) {
    facts.dane = evaluate(*dane_, decision_.refusal, host_name(), facts.tls);
  }
  count(facts);
}

void DeliveryAttempt::count_would_refuse(const net::TlsOutcome* outcome) {
  if (would_refuse(decision_, outcome)) {
    result_.would_refuse.push_back(next_hop_.policy_domain()->text());
    note("would-refuse",
         explain(decision_, inputs(), host_name()) +
             (outcome != nullptr ? "; but " + tls_complaint(*outcome, *decision_.unenforced) : ""));
  }
}

void DeliveryAttempt::count(const SessionFacts& facts) {
  if (auto result = session_result(facts)) {
    result_.sessions.push_back(std::move(*result));
  }
}

// RFC 8461 §6: a policy that could not be fetched is reported also when no session came about.
void DeliveryAttempt::count_policy_fault(net::WallTime now) {
  if (policy_fault_ && result_.sessions.empty()) {
    SessionFacts facts = session_facts(now);
    facts.mx_host.clear();
    facts.coverage = Coverage::no_policy;
    count(facts);
  }
}

void DeliveryAttempt::note(std::string reason_code, std::string text) {
  notes_.push_back({host_name(), std::move(reason_code), std::move(text)});
}

void DeliveryAttempt::trouble(Trouble::Kind kind, std::string status, std::string text,
                              std::optional<smtp::Reply> reply) {
  troubles_.add({kind, std::move(status), std::move(text), host_name(), ip(), std::move(reply)});
}

std::vector<AttemptNote> DeliveryAttempt::take_notes() {
  return std::exchange(notes_, {});
}

std::string DeliveryAttempt::host_name() const {
  return host_ < hosts_.size() ? hosts_[host_].name.text() : std::string{};
}

std::string DeliveryAttempt::ip() const {
  return address_ < addresses_.size() ? addresses_[address_].ip() : std::string{};
}

}  // namespace relay::delivery
