#include "relay/delivery/attempt.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "relay/delivery/session_result.h"

namespace relay::delivery {
namespace {

using Result = RecipientOutcome::Result;

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

std::string reply_or_detail(const smtp::RecipientResult& result) {
  return result.reply ? result.reply->text() : result.detail;
}

/// What was wrong with TLS, for a person, with the codes that TLS-RPT uses.
std::string tls_complaint(const net::TlsOutcome& outcome) {
  if (const auto* none = std::get_if<net::TlsNotOffered>(&outcome)) {
    return fmt::format("it does not offer TLS ({})", none->reason);
  }
  if (const auto* failed = std::get_if<net::TlsFailed>(&outcome)) {
    return fmt::format("its TLS handshake failed ({})", failed->reason);
  }
  std::string codes;
  if (const auto* unverified = std::get_if<net::TlsUnverified>(&outcome)) {
    for (const net::CertificateFault& fault : unverified->faults) {
      codes += (codes.empty() ? "" : ", ") + fault.code;
    }
  }
  return fmt::format("its certificate does not prove that ({})", codes);
}

std::string end_text(const smtp::SessionEnd& end) {
  return end.reply ? end.reply->text() : end.detail;
}

}  // namespace

DeliveryAttempt::DeliveryAttempt(AttemptSettings settings, NextHop next_hop,
                                 std::shared_ptr<const spool::Envelope> envelope)
    : settings_(std::move(settings)),
      next_hop_(std::move(next_hop)),
      envelope_(std::move(envelope)),
      pending_(envelope_->recipients.size()) {
  std::iota(pending_.begin(), pending_.end(), std::size_t{0});
}

Step DeliveryAttempt::start(net::WallTime /*now*/) {
  if (const auto* fixed = std::get_if<FixedAddress>(&next_hop_.target)) {
    decision_ = decide(nullptr, {});
    addresses_ = {fixed->address};
    return converse(*decision_.requirement, ConnectionUse::pooled_or_new);
  }
  return FindPolicy{*next_hop_.policy_domain(), Freshness::cached};
}

Step DeliveryAttempt::on_policy(const sts::PolicyVerdict& verdict, net::WallTime now) {
  const bool again = policy_check_ == PolicyCheck::last;
  if (again && same_policy(verdict.policy.get(), policy_.get())) {
    count_policy_fault(now);
    return finish(decisive_trouble());
  }
  policy_ = verdict.policy;
  policy_source_ = verdict.source;
  policy_fault_ = verdict.fault;
  if (again) {
    note("policy-changed", "the policy changed since this attempt began; hosts are tried again");
    troubles_.clear();
    failed_sessions_ = 0;
    return first_host(now);
  }
  if (const auto* fixed = std::get_if<FixedHost>(&next_hop_.target)) {
    hosts_ = {MxHost{fixed->name, 0, MxHost::Source::route}};
    return first_host(now);
  }
  return FindMx{std::get<MxLookup>(next_hop_.target).name};
}

Step DeliveryAttempt::on_mx(const net::DnsResult& answer, net::WallTime now) {
  auto found = mx_hosts(answer, std::get<MxLookup>(next_hop_.target).name, settings_.own_name,
                        settings_.hosts, settings_.shuffle);
  if (const auto* end = std::get_if<Undeliverable>(&found)) {
    return undeliverable(*end);
  }
  hosts_ = std::move(std::get<std::vector<MxHost>>(found));
  return first_host(now);
}

Step DeliveryAttempt::first_host(net::WallTime now) {
  host_ = 0;
  address_ = 0;
  addresses_.clear();
  if (refused_by_policy(now)) {
    return next_host(now);
  }
  return FindAddresses{hosts_[host_].name};
}

Step DeliveryAttempt::next_host(net::WallTime now) {
  addresses_.clear();
  address_ = 0;
  // Sessions that failed for reasons of their own are bounded; hosts passed over by policy are not,
  // or a policy with two broken hosts would hide the third, good one.
  while (++host_ < hosts_.size() && failed_sessions_ < settings_.sessions) {
    if (!refused_by_policy(now)) {
      return FindAddresses{hosts_[host_].name};
    }
  }
  return walk_ended(now);
}

bool DeliveryAttempt::refused_by_policy(net::WallTime now) {
  const std::string& host = hosts_[host_].name.text();
  decision_ = decide(policy_.get(), host);
  if (decision_.requirement) {
    return false;
  }
  note("mx-not-in-policy", decision_.explanation);
  trouble(Trouble::Kind::policy, "4.7.5", decision_.explanation);
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
      break;
    case HostAddresses::Problem::lookup_failed:
      note("address-lookup-failed", found.reason);
      trouble(Trouble::Kind::temporary, "4.4.3", found.reason);
      return next_host(now);
    case HostAddresses::Problem::no_such_host:
    case HostAddresses::Problem::no_address:
      note("no-such-host", found.reason);
      trouble(Trouble::Kind::host_missing, "5.4.4", found.reason);
      return next_host(now);
    case HostAddresses::Problem::refused:
      note("private-address", found.reason);
      trouble(Trouble::Kind::host_missing, "5.4.4",
              found.reason + "; a route that names the host would allow them");
      return next_host(now);
  }
  addresses_ = std::move(found.usable);
  if (addresses_.size() > settings_.addresses_per_host) {
    addresses_.resize(settings_.addresses_per_host, addresses_.front());
  }
  address_ = 0;
  if (leads_to_self()) {
    drop_self("is an address this relay listens on");
    return next_host(now);
  }
  return converse(*decision_.requirement, ConnectionUse::pooled_or_new);
}

Step DeliveryAttempt::converse(smtp::TlsRequirement requirement, ConnectionUse use) {
  std::optional<net::DomainName> host;
  if (!hosts_.empty()) {
    host = hosts_[host_].name;
  }
  conversation_ = Converse{host, addresses_[address_], requirement, use, pending_};
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
  settle_recipients(report);
  if (pending_.empty()) {
    return std::move(result_);
  }
  return after_session(report, now);
}

Step DeliveryAttempt::after_session(const ConversationReport& report, net::WallTime now) {
  const auto& session = std::get<SessionUsed>(report);
  if (!send_again_.empty()) {
    send_again_.clear();
    return converse(conversation_->requirement, ConnectionUse::pooled_or_new);
  }
  if (session.peer == SessionUsed::Peer::self) {
    drop_self("greets with its own name");
    return next_host(now);
  }
  if (session.end) {
    const smtp::SessionEnd& end = *session.end;
    switch (end.kind) {
      case smtp::SessionEnd::Kind::tls_failed:
        if (auto retry = conversation_->requirement.after_failed_handshake()) {
          return converse(*retry, ConnectionUse::only_new);
        }
        [[fallthrough]];
      case smtp::SessionEnd::Kind::tls_requirement:
        trouble(Trouble::Kind::policy, "4.7.5",
                fmt::format("{}; but {}", decision_.explanation,
                            session.tls ? tls_complaint(*session.tls) : end_text(end)));
        return next_address(now);
      case smtp::SessionEnd::Kind::quit:
      case smtp::SessionEnd::Kind::refused:
      case smtp::SessionEnd::Kind::timeout:
      case smtp::SessionEnd::Kind::lost:
      case smtp::SessionEnd::Kind::protocol:
        trouble(Trouble::Kind::temporary,
                end.kind == smtp::SessionEnd::Kind::refused ? "4.3.2" : "4.4.2",
                fmt::format("session with {} ({}) ended at {}: {}", host_name(), ip(),
                            smtp::name(end.stage), end_text(end)),
                end.reply);
        if (end.stage <= smtp::Stage::ehlo) {
          return next_address(now);  // Not counted: a busy host must not keep mail from the others.
        }
        break;
    }
  }
  if (troubles_.empty() || troubles_.back().kind != Trouble::Kind::unsuitable) {
    ++failed_sessions_;
  }
  return next_host(now);
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
      std::any_of(troubles_.begin(), troubles_.end(),
                  [](const Trouble& trouble) { return trouble.kind == Trouble::Kind::policy; });
  // RFC 8461 §5.1: before giving up under a policy, look for a newer one past every cache.
  if (by_policy && policy_check_ == PolicyCheck::first) {
    policy_check_ = PolicyCheck::last;
    return FindPolicy{*next_hop_.policy_domain(), Freshness::past_cache};
  }
  count_policy_fault(now);
  return finish(decisive_trouble());
}

const DeliveryAttempt::Trouble& DeliveryAttempt::decisive_trouble() const {
  static const Trouble none{
      Trouble::Kind::temporary, "4.4.4", "no host could be tried", {}, {}, {}};
  // A policy failure explains most; then anything temporary, because it may pass; a permanent
  // reason counts only if every host has one.
  for (const Trouble::Kind kind : {Trouble::Kind::policy, Trouble::Kind::temporary}) {
    const auto found = std::find_if(troubles_.rbegin(), troubles_.rend(),
                                    [&](const Trouble& t) { return t.kind == kind; });
    if (found != troubles_.rend()) {
      return *found;
    }
  }
  const auto unsuitable = std::find_if(troubles_.rbegin(), troubles_.rend(), [](const Trouble& t) {
    return t.kind == Trouble::Kind::unsuitable;
  });
  if (unsuitable != troubles_.rend()) {
    return *unsuitable;
  }
  return troubles_.empty() ? none : troubles_.back();
}

Step DeliveryAttempt::finish(const Trouble& trouble) {
  const bool permanent =
      (trouble.kind == Trouble::Kind::host_missing || trouble.kind == Trouble::Kind::unsuitable) &&
      !failures_stay_temporary(policy_.get());
  std::string status = trouble.status;
  if (!permanent && status.starts_with('5')) {
    status.front() = '4';
  }
  for (const std::size_t recipient : pending_) {
    RecipientOutcome outcome;
    outcome.index = envelope_->recipients[recipient].index;
    outcome.result = permanent ? Result::failed : Result::deferred;
    outcome.status = status;
    outcome.text = trouble.text;
    outcome.host = trouble.host;
    outcome.ip = trouble.ip;
    outcome.remote_reply = trouble.reply ? trouble.reply->text() : std::string{};
    result_.outcomes.push_back(std::move(outcome));
  }
  pending_.clear();
  return std::move(result_);
}

Step DeliveryAttempt::undeliverable(const Undeliverable& end) {
  // Under enforce a forged DNS answer must not be able to bounce mail (RFC 8461 §5.1, §10.2).
  const bool permanent =
      end.kind == Undeliverable::Kind::permanent && !failures_stay_temporary(policy_.get());
  return finish(Trouble{permanent ? Trouble::Kind::host_missing : Trouble::Kind::temporary,
                        end.status,
                        end.reason,
                        {},
                        {},
                        {}});
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

Finished DeliveryAttempt::on_deadline(const ConversationReport& report, net::WallTime now) {
  record_session(report, now);
  if (std::holds_alternative<SessionUsed>(report)) {
    settle_recipients(report);
  }
  return pending_.empty() ? std::move(result_) : on_deadline(now);
}

void DeliveryAttempt::settle_recipients(const ConversationReport& report) {
  const auto& session = std::get<SessionUsed>(report);
  if (!session.transaction) {
    return;
  }
  const std::vector<std::size_t> sent = conversation_->recipients;
  for (std::size_t i = 0; i < sent.size() && i < session.transaction->recipients.size(); ++i) {
    settle_recipient(sent[i], session.transaction->recipients[i]);
  }
  if (send_again_.size() == sent.size()) {
    // Not one recipient was taken: sending the same list again would go on for ever.
    for (const std::size_t recipient : std::exchange(send_again_, {})) {
      const smtp::RecipientResult& result =
          session.transaction->recipients[static_cast<std::size_t>(
              std::find(sent.begin(), sent.end(), recipient) - sent.begin())];
      add_outcome(recipient, Result::deferred, result.enhanced_code, reply_or_detail(result),
                  result.reply);
    }
  }
}

void DeliveryAttempt::settle_recipient(std::size_t recipient, const smtp::RecipientResult& result) {
  const std::string text = reply_or_detail(result);
  switch (result.disposition) {
    case smtp::Disposition::delivered:
      add_outcome(recipient, Result::delivered, result.enhanced_code, text, result.reply);
      return;
    case smtp::Disposition::rejected:
      add_outcome(recipient, Result::failed, result.enhanced_code, text, result.reply);
      return;
    case smtp::Disposition::unknown:
      // RFC 1047: the server may have taken the message; trying another host would be worse.
      add_outcome(recipient, Result::deferred, result.enhanced_code,
                  text + "; the message may have been delivered", result.reply,
                  Certainty::maybe_delivered);
      return;
    case smtp::Disposition::deferred:
      if (result.too_many) {
        send_again_.push_back(recipient);
      } else if (result.stage == smtp::Stage::rcpt) {
        add_outcome(recipient, Result::deferred, result.enhanced_code, text, result.reply);
      } else {
        trouble(Trouble::Kind::temporary, result.enhanced_code, text, result.reply);
      }
      return;
    case smtp::Disposition::unsuitable:
      trouble(Trouble::Kind::unsuitable, result.enhanced_code, text, result.reply);
      return;
    case smtp::Disposition::not_tried:
      return;
  }
}

void DeliveryAttempt::add_outcome(std::size_t recipient, RecipientOutcome::Result result,
                                  std::string status, std::string text,
                                  const std::optional<smtp::Reply>& reply, Certainty certainty) {
  std::erase(pending_, recipient);
  result_.outcomes.push_back(RecipientOutcome{envelope_->recipients[recipient].index, result,
                                              std::move(status), std::move(text), host_name(), ip(),
                                              reply ? reply->text() : std::string{}, certainty});
}

SessionFacts DeliveryAttempt::session_facts(net::WallTime now) const {
  SessionFacts facts;
  facts.report_domain = next_hop_.policy_domain()->text();
  facts.ended_at = now;
  facts.mx_host = host_name();
  facts.policy = policy_;
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
  }
  count(facts);
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
  troubles_.push_back(
      {kind, std::move(status), std::move(text), host_name(), ip(), std::move(reply)});
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
