#include "relay/delivery/delivery_log.h"

#include <chrono>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace relay::delivery {
namespace {

std::string seconds_text(std::chrono::milliseconds duration) {
  return fmt::format("{:.2f}", std::chrono::duration<double>(duration).count());
}

std::string_view source_name(sts::PolicyVerdict::Source source) {
  switch (source) {
    case sts::PolicyVerdict::Source::none:
      return "none";
    case sts::PolicyVerdict::Source::cache:
      return "cache";
    case sts::PolicyVerdict::Source::fetched:
      return "fetched";
  }
  return "none";
}

}  // namespace

std::vector<LogField> delivery_fields(const spool::Envelope& envelope, const Fate& fate,
                                      const AttemptEnd& end, net::WallTime now) {
  const RecipientOutcome& outcome = *fate.outcome;
  const sts::CachedPolicy* policy = end.policy.get();
  const net::WallTime mail_at = end.mail_at.value_or(now);
  return {
      {"id", envelope.id.text()},
      {"from", envelope.sender.empty() ? "<>" : envelope.sender},
      {"to", fate.recipient->address},
      {"host", outcome.host},
      {"ip", outcome.ip},
      {"port", end.port_of(outcome)},
      {"tls", end.tls_of(outcome)},
      {"policy_type", policy == nullptr ? "no-policy-found" : "sts"},
      {"policy_mode", policy == nullptr ? "" : std::string(sts::name(policy->policy.mode))},
      {"policy_id", policy == nullptr ? "" : policy->id},
      {"policy_source", std::string(source_name(end.policy_source))},
      {"result", std::string(fate.kind == Fate::Kind::delivered && outcome.staged != Staged::no
                                 ? name(outcome.staged)
                                 : name(fate.kind))},
      {"staging", std::string(name(outcome.staged))},
      {"dsn", outcome.status},
      {"reply", outcome.text},
      {"certainty", outcome.certainty == Certainty::maybe_delivered ? "maybe-delivered" : ""},
      {"delay", seconds_text(now - envelope.received_at)},
      {"delays", fmt::format("{}/{}/{}", seconds_text(end.started_at - envelope.received_at),
                             seconds_text(mail_at - end.started_at), seconds_text(now - mail_at))},
      {"attempt", std::to_string(fate.recipient->attempts + 1)},
      {"next",
       fate.next_try ? fmt::format("+{}s", (*fate.next_try - now).count() / 1000) : std::string{}}};
}

}  // namespace relay::delivery
