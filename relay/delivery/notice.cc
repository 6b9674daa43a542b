#include "relay/delivery/notice.h"

#include <utility>

#include <fmt/format.h>

#include "relay/staging/placement.h"

namespace relay::delivery {
namespace {

std::string lifetime_text(std::chrono::milliseconds lifetime) {
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(lifetime).count();
  if (hours >= 48) {
    return fmt::format("{} days", hours / 24);
  }
  if (hours >= 1) {
    return fmt::format("{} hours", hours);
  }
  return fmt::format("{} seconds",
                     std::chrono::duration_cast<std::chrono::seconds>(lifetime).count());
}

/// Without what staging makes of it in the spool.
std::string domain_of(const spool::Recipient& recipient) {
  return staging::mark_of(recipient.domain) == staging::Mark::none
             ? recipient.domain
             : recipient.address.substr(recipient.address.rfind('@') + 1);
}

std::string where(const Fate& fate) {
  const RecipientOutcome& outcome = *fate.outcome;
  const std::string domain = domain_of(*fate.recipient);
  if (outcome.host.empty()) {
    return fmt::format("the domain {}", domain);
  }
  return fmt::format("the host {}{} for the domain {}", outcome.host,
                     outcome.ip.empty() ? std::string{} : fmt::format(" ({})", outcome.ip), domain);
}

// RFC 8689 §4.2.1: what the message asked for could not be had; and what its sender can do.
std::string requiretls_advice(const Fate& fate) {
  constexpr std::string_view kMeaning =
      "Your message was marked to travel only over connections that are protected by TLS on every "
      "hop (REQUIRETLS, RFC 8689), so it was not sent without that protection.";
  constexpr std::string_view kRemedy =
      " If the protection is not essential, send it again without REQUIRETLS; if it is, reach the "
      "recipient in another way, or ask the postmaster of {} for {}.";
  const auto code = std::string_view(fate.outcome->status).substr(1);
  const std::string domain = domain_of(*fate.recipient);
  if (code == ".7.30") {
    return std::string(kMeaning) +
           fmt::format(kRemedy, domain, "mail servers that support REQUIRETLS");
  }
  if (code == ".7.10") {
    return std::string(kMeaning) +
           fmt::format(kRemedy, domain,
                       "mail servers whose names and certificates can be verified (MTA-STS or "
                       "DANE)");
  }
  return {};
}

/// For a person: domain, host, policy and rule. A reply that is all there is to say is left to the
/// notice, which quotes it unbroken. lifetime: that its recipient had.
std::string explanation(const Fate& fate, std::chrono::milliseconds lifetime) {
  const std::string& text = fate.outcome->text;
  const std::string& reply = fate.outcome->remote_reply;
  if (fate.kind == Fate::Kind::delivered) {
    return fmt::format("The message was accepted by {}.", where(fate));
  }
  if (fate.kind == Fate::Kind::deferred) {
    return fmt::format("The message could not be delivered to {} so far.{}", where(fate),
                       text == reply ? std::string() : " The last reason was: " + text);
  }
  if (fate.kind == Fate::Kind::expired) {
    return fmt::format("The message was tried for {} and could not be delivered to {}.{}",
                       lifetime_text(lifetime), where(fate),
                       text == reply ? std::string() : " The last reason was: " + text);
  }
  if (!reply.empty()) {
    return fmt::format("The message was refused for good by {}.{}", where(fate),
                       text == reply ? std::string() : " It said: " + text);
  }
  return fmt::format("The message cannot be delivered to {}: {}", where(fate), text);
}

message::DsnRecipient dsn_recipient(const Fate& fate, const spool::Envelope& envelope,
                                    const NoticeFacts& facts) {
  message::DsnRecipient recipient;
  recipient.address = fate.recipient->address;
  recipient.orcpt = fate.recipient->orcpt;
  recipient.status = fate.outcome->status;
  if (fate.kind == Fate::Kind::failed || fate.kind == Fate::Kind::expired) {
    // RFC 3464 §2.3.4: the notice is about a permanent failure, whatever the last reply was.
    recipient.status.front() = '5';
  }
  recipient.diagnostic = fate.outcome->remote_reply;
  if (!recipient.diagnostic.empty()) {
    // RFC 3464 §2.3.5: a host that reported nothing is none to name here.
    recipient.remote_mta = fate.outcome->host;
  }
  recipient.explanation = explanation(fate, fate.expires - start_of_life(envelope));
  if (envelope.tls == spool::MessageTls::required) {
    recipient.advice = requiretls_advice(fate);
  }
  const net::WallTime tried = fate.last_try.value_or(facts.now);
  if (tried != net::WallTime{}) {
    recipient.last_attempt = tried;
  }
  if (fate.kind == Fate::Kind::deferred) {
    recipient.retry_until = fate.expires;
  }
  return recipient;
}

}  // namespace

spool::Notice status_notice(const NoticeSubject& subject, const spool::Envelope& envelope,
                            std::span<const Fate> fates, const std::string& original,
                            const NoticeFacts& facts) {
  message::DsnFacts dsn;
  dsn.action = subject.action;
  dsn.reader = subject.reader;
  dsn.hostname = facts.hostname;
  dsn.id = facts.id.text();
  dsn.original_id = envelope.id.text();
  dsn.to = subject.to;
  dsn.now = facts.now;
  dsn.arrival = envelope.received_at;
  dsn.envid = envelope.envid;
  // RFC 8689 §5: what had to be protected is not sent around in a bounce, whatever RET says.
  const bool requiretls = envelope.tls == spool::MessageTls::required;
  dsn.ret = requiretls ? "HDRS" : envelope.ret;
  dsn.smtputf8 = envelope.smtputf8 ? message::SmtpUtf8::needed : message::SmtpUtf8::not_needed;
  dsn.recipients.reserve(fates.size());
  for (const Fate& fate : fates) {
    dsn.recipients.push_back(dsn_recipient(fate, envelope, facts));
  }
  message::DsnMessage made = message::status_notice(dsn, {original, envelope.size});

  spool::Notice notice;
  notice.envelope.id = facts.id;
  notice.envelope.origin = spool::Origin::notice;
  notice.envelope.received_at = facts.now;
  notice.envelope.expires_at = facts.now + facts.lifetime;
  notice.envelope.size = made.content.size();
  notice.envelope.eight_bit = made.eight_bit;
  notice.envelope.smtputf8 = made.smtputf8;
  // RFC 8689 §5: the header that comes back is protected like the message was.
  notice.envelope.tls = requiretls ? spool::MessageTls::required : spool::MessageTls::normal;
  notice.envelope.client_helo = facts.hostname;
  spool::Recipient recipient;
  recipient.address = subject.to;
  recipient.notify = "NEVER";  // RFC 3461 §6.2
  recipient.domain = subject.to.substr(subject.to.rfind('@') + 1);
  recipient.next_try = facts.now;
  notice.envelope.recipients.push_back(std::move(recipient));
  notice.content = std::move(made.content);
  return notice;
}

}  // namespace relay::delivery
