#include "relay/delivery/settlement.h"

#include <algorithm>
#include <unordered_map>

#include "relay/spool/schedule.h"

namespace relay::delivery {
namespace {

using Outcome = spool::RecipientUpdate::Outcome;

bool asks_for(const spool::Recipient& recipient, std::string_view keyword) {
  return recipient.notify.find(keyword) != std::string::npos;
}

bool may_be_told(const spool::Envelope& envelope) {
  return !envelope.sender.empty() && envelope.origin == spool::Origin::submitted;
}

/// Whether the sender will be told of a delay one day.
bool delay_matters(const spool::Envelope& envelope, const spool::Recipient& recipient,
                   std::chrono::milliseconds warn_after) {
  return warn_after.count() > 0 && !envelope.delay_told && may_be_told(envelope) &&
         (recipient.notify.empty() || asks_for(recipient, "DELAY"));
}

/// Whether what staging did with mail stands for what a destination does, so that its sender hears
/// of a delay.
bool is_waited_for(Staged staged) {
  switch (staged) {
    case Staged::no:
    case Staged::dry_run:
    case Staged::simulated:
      return true;
    case Staged::sinked:
    case Staged::captured:
    case Staged::held_back:
      return false;
  }
  return true;
}

Fate deferral_or_expiry(const spool::Envelope& envelope, const spool::Recipient& recipient,
                        const RetryRules& retry, net::WallTime now) {
  Fate fate;
  fate.expires = retry.expires;
  fate.next_try =
      spool::next_try(retry.waits, {recipient.attempts + 1, now, retry.expires, retry.jitter});
  const net::WallTime warning = start_of_life(envelope) + retry.warn_after;
  if (fate.next_try && now < warning && delay_matters(envelope, recipient, retry.warn_after)) {
    fate.next_try = std::min(*fate.next_try, warning);
  }
  fate.kind = fate.next_try ? Fate::Kind::deferred : Fate::Kind::expired;
  return fate;
}

Fate fate_of(const spool::Envelope& envelope, const spool::Recipient& recipient,
             const RecipientOutcome& outcome, const RetryRules& retry, net::WallTime now) {
  Fate fate;
  switch (outcome.result) {
    case RecipientOutcome::Result::delivered:
      fate.kind = Fate::Kind::delivered;
      break;
    case RecipientOutcome::Result::failed:
      fate.kind = Fate::Kind::failed;
      break;
    case RecipientOutcome::Result::deferred:
      fate = deferral_or_expiry(envelope, recipient, retry, now);
      break;
  }
  fate.recipient = &recipient;
  fate.outcome = &outcome;
  return fate;
}

spool::RecipientUpdate update_of(const Fate& fate) {
  spool::RecipientUpdate update{fate.recipient->index, Outcome::failed, {}, fate.outcome->text};
  switch (fate.kind) {
    case Fate::Kind::delivered:
      update.outcome = Outcome::delivered;
      break;
    case Fate::Kind::deferred:
      update.outcome = Outcome::deferred;
      update.next_try = *fate.next_try;
      break;
    case Fate::Kind::failed:
    case Fate::Kind::expired:
      break;
  }
  return update;
}

spool::ReportMailOutcome report_outcome(const Fate& fate, net::WallTime now) {
  spool::ReportMailOutcome outcome;
  outcome.result = fate.outcome->text;
  switch (fate.kind) {
    case Fate::Kind::delivered:
      outcome.stage = rpt::Stage::accepted;
      break;
    case Fate::Kind::deferred:
      outcome.stage = rpt::Stage::handed_over;
      break;
    case Fate::Kind::failed:
      outcome.stage = rpt::Stage::refused;
      outcome.suppress_until = now + spool::kReportSuppression;
      break;
    case Fate::Kind::expired:
      outcome.stage = rpt::Stage::expired;
      outcome.suppress_until = now + spool::kReportSuppression;
      break;
  }
  return outcome;
}

}  // namespace

RetryRules RetryRules::of(const conf::Queue& queue, const spool::Envelope& envelope,
                          const std::string& domain, double jitter) {
  const conf::QueueRule* const rule = conf::find_rule(queue.domains, domain);
  const bool own_waits = rule != nullptr && !rule->retry.empty();
  return {own_waits ? rule->retry : queue.retry, end_of_life(queue, envelope, domain), jitter,
          queue.warn_after};
}

net::WallTime start_of_life(const spool::Envelope& envelope) {
  return envelope.life_from == net::WallTime{} ? envelope.received_at : envelope.life_from;
}

net::WallTime end_of_life(const conf::Queue& queue, const spool::Envelope& envelope,
                          const std::string& domain) {
  const conf::QueueRule* const rule = conf::find_rule(queue.domains, domain);
  const bool own_life = rule != nullptr && rule->lifetime > conf::Duration(0) &&
                        envelope.origin != spool::Origin::report;
  if (!own_life) {
    return envelope.expires_at;
  }
  return start_of_life(envelope) + rule->lifetime;
}

std::string_view name(Fate::Kind kind) {
  switch (kind) {
    case Fate::Kind::delivered:
      return "delivered";
    case Fate::Kind::deferred:
      return "deferred";
    case Fate::Kind::failed:
      return "failed";
    case Fate::Kind::expired:
      return "expired";
  }
  return "failed";
}

Finished end_for_all(const spool::Envelope& envelope, const Undeliverable& end) {
  Finished finished;
  for (const spool::Recipient& recipient : envelope.recipients) {
    RecipientOutcome outcome;
    outcome.index = recipient.index;
    outcome.result = end.kind != Undeliverable::Kind::temporary
                         ? RecipientOutcome::Result::failed
                         : RecipientOutcome::Result::deferred;
    outcome.status = end.status;
    outcome.text = end.reason;
    finished.outcomes.push_back(std::move(outcome));
  }
  return finished;
}

std::optional<net::WallTime> earliest_retry(const std::vector<Fate>& fates) {
  std::optional<net::WallTime> earliest;
  for (const Fate& fate : fates) {
    if (fate.next_try && (!earliest || *fate.next_try < *earliest)) {
      earliest = fate.next_try;
    }
  }
  return earliest;
}

SettledAttempt settle(const spool::Envelope& envelope, const Finished& finished,
                      const RetryRules& retry, net::WallTime now) {
  std::unordered_map<std::uint32_t, const spool::Recipient*> by_index;
  for (const spool::Recipient& recipient : envelope.recipients) {
    by_index.emplace(recipient.index, &recipient);
  }
  SettledAttempt settled;
  settled.settlement.id = envelope.id;
  settled.settlement.at = now;
  settled.settlement.sessions = finished.sessions;
  for (const RecipientOutcome& outcome : finished.outcomes) {
    const Fate fate = fate_of(envelope, *by_index.at(outcome.index), outcome, retry, now);
    settled.settlement.updates.push_back(update_of(fate));
    settled.fates.push_back(fate);
    if (envelope.origin == spool::Origin::report) {
      settled.settlement.report = report_outcome(fate, now);
    }
  }
  return settled;
}

FailureReader failure_reader(const spool::Envelope& envelope, const Fate& fate,
                             std::string_view postmaster) {
  if (fate.kind != Fate::Kind::failed && fate.kind != Fate::Kind::expired) {
    return FailureReader::not_failed;
  }
  if (envelope.origin == spool::Origin::report) {
    return FailureReader::unwanted;
  }
  const spool::Recipient& recipient = *fate.recipient;
  const bool ours = envelope.origin == spool::Origin::notice;
  if (!ours && !recipient.notify.empty() && !asks_for(recipient, "FAILURE")) {
    return FailureReader::unwanted;
  }
  if (may_be_told(envelope)) {
    return FailureReader::sender;
  }
  return postmaster.empty() || recipient.address == postmaster ? FailureReader::nobody
                                                               : FailureReader::postmaster;
}

bool wants_relayed_notice(const spool::Envelope& envelope, const Fate& fate) {
  return fate.kind == Fate::Kind::delivered && fate.outcome->staged == Staged::no &&
         may_be_told(envelope) && asks_for(*fate.recipient, "SUCCESS") &&
         fate.outcome->dsn == DsnHandover::none;
}

bool wants_delay_notice(const spool::Envelope& envelope, const Fate& fate,
                        std::chrono::milliseconds warn_after, net::WallTime now) {
  return fate.kind == Fate::Kind::deferred && is_waited_for(fate.outcome->staged) &&
         now >= start_of_life(envelope) + warn_after &&
         delay_matters(envelope, *fate.recipient, warn_after);
}

}  // namespace relay::delivery
