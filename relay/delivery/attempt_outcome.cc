// What conversations bring and how an attempt ends: outcomes of recipients, sessions that count for
// TLS-RPT, and whether a failure is permanent.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/delivery/attempt.h"
#include "relay/delivery/reply_words.h"

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

}  // namespace

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
    pending_.settle(weighed(*session.transaction), conversation_->recipients, {host_name(), ip()},
                    troubles_);
  }
  if (pending_.empty()) {
    result_.outcomes = pending_.take_outcomes();
    return std::move(result_);
  }
  return after_session(session, now);
}

/// The replies as they count here: a route's upstream returns no mail because it does not know us,
/// and a host that objects to our address may think otherwise of the one of the other family.
smtp::TransactionResult DeliveryAttempt::weighed(const smtp::TransactionResult& transaction) {
  smtp::TransactionResult result = next_hop_.origin == NextHop::Origin::route
                                       ? without_credential_refusals(transaction)
                                       : transaction;
  for (smtp::RecipientResult& recipient : result.recipients) {
    result_.pause = std::max(result_.pause, apply(settings_.reply_rules, refuser(), recipient));
  }
  if (!other_family_left()) {
    return result;
  }
  for (smtp::RecipientResult& recipient : result.recipients) {
    if (recipient.disposition == smtp::Disposition::rejected && recipient.reply &&
        blames_address(*recipient.reply)) {
      recipient.disposition = smtp::Disposition::not_tried;
      family_ = Family::switching;
    }
  }
  return result;
}

Refuser DeliveryAttempt::refuser() const {
  return {hosts_.empty() || host_ >= hosts_.size() ? std::string_view{}
                                                   : std::string_view(hosts_[host_].name.text()),
          envelope_->recipients.front().domain};
}

bool DeliveryAttempt::other_family_left() const {
  return address_ < addresses_.size() &&
         std::any_of(addresses_.begin() + static_cast<std::ptrdiff_t>(address_), addresses_.end(),
                     [&](const net::SocketAddress& address) {
                       return address.family() != addresses_[address_].family();
                     });
}

Step DeliveryAttempt::other_family(net::WallTime now) {
  note("address-refused", "the host objects to our address; the other family is tried");
  const net::IpFamily refused = addresses_[address_].family();
  addresses_.erase(addresses_.begin(), addresses_.begin() + static_cast<std::ptrdiff_t>(address_));
  std::erase_if(addresses_,
                [&](const net::SocketAddress& address) { return address.family() == refused; });
  address_ = 0;
  return use_address(now);
}

Step DeliveryAttempt::after_session(const SessionUsed& session, net::WallTime now) {
  if (pending_.take_send_again()) {
    return converse(conversation_->requirement, ConnectionUse::pooled_or_new);
  }
  if (std::exchange(family_, Family::as_found) == Family::switching) {
    return other_family(now);
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
    case smtp::SessionEnd::Kind::credentials:
      // Its other addresses know them no better.
      trouble(Trouble::Kind::temporary, "4.7.0",
              fmt::format("{} ({}): {}", host_name(), ip(), end_text(end)), end.reply);
      return next_host(now);
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
  const conf::ReplyRule* rule =
      end.reply ? rule_for(settings_.reply_rules, refuser(), *end.reply) : nullptr;
  if (rule != nullptr && rule->action == conf::ReplyRule::Action::slow_down) {
    result_.pause = std::max<std::chrono::milliseconds>(result_.pause, rule->wait);
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
  const bool by_sender = demanded(inputs()) == spool::MessageTls::required;
  trouble(by_sender ? Trouble::Kind::requiretls : Trouble::Kind::policy,
          by_sender ? "5.7.10" : "4.7.5",
          fmt::format("{}; but {}", explain(decision_, inputs(), host_name()), complaint));
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

Step DeliveryAttempt::on_held(std::string why) {
  return finish(Trouble{Trouble::Kind::temporary, "4.7.0", std::move(why), {}, {}, {}});
}

Finished DeliveryAttempt::on_deadline(const ConversationReport& report, net::WallTime now) {
  record_session(report, now);
  if (const auto* session = std::get_if<SessionUsed>(&report);
      session != nullptr && session->transaction) {
    pending_.settle(weighed(*session->transaction), conversation_->recipients, {host_name(), ip()},
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
  // Not looked for, as behind insecure MX records, is as good as absent where a rule demands DANE.
  facts.dane = evaluate(dane_.value_or(HostDane{}), decision_.refusal, host_name(), facts.tls);
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

}  // namespace relay::delivery
