#include "relay/control/queue_why.h"

#include <algorithm>

#include <fmt/format.h>

#include "conf/tls_rules.h"
#include "relay/control/timestamp.h"
#include "relay/delivery/settlement.h"

namespace relay::control {
namespace {

using Json = nlohmann::ordered_json;

/// "2026-03-01T09:30:00Z (3h ago)".
std::string moment(net::WallTime time, net::WallTime now) {
  return fmt::format("{} ({})", to_rfc3339(time), relative(time, now));
}

std::string because(const std::string& reason) {
  return reason.empty() ? std::string() : fmt::format(": {}", reason);
}

std::string summary(const WhyFacts& facts, net::WallTime now) {
  const spool::Envelope& envelope = facts.envelope;
  std::string text =
      fmt::format("It arrived {} from {}{}{}, in class {}, and {} still to be reached.",
                  moment(envelope.received_at, now),
                  envelope.sender.empty() ? "the null sender" : envelope.sender,
                  envelope.user.empty() ? "" : fmt::format(" (user {})", envelope.user),
                  envelope.listener.empty() ? "" : fmt::format(" by {}", envelope.listener),
                  spool::name(envelope.priority),
                  envelope.recipients.size() == 1
                      ? "1 recipient is"
                      : fmt::format("{} recipients are", envelope.recipients.size()));
  if (!envelope.held.empty()) {
    text += fmt::format(
        " It has been held since {}: {}. Nothing is tried until `stsrelay queue release {}`; its "
        "life does not run meanwhile.",
        moment(envelope.held_at, now), envelope.held, envelope.id.text());
  }
  return text;
}

std::string happened(const spool::Recipient& recipient, net::WallTime now) {
  if (recipient.attempts == 0) {
    return recipient.last_result.empty()
               ? "It has not been tried yet."
               : fmt::format("It was queued anew; before that: {}", recipient.last_result);
  }
  return fmt::format("It was tried {}{}: {}",
                     recipient.attempts == 1 ? "once" : fmt::format("{} times", recipient.attempts),
                     recipient.last_try == net::WallTime{}
                         ? ""
                         : fmt::format(", the last time {}", moment(recipient.last_try, now)),
                     recipient.last_result);
}

std::string giving_up(const WhyFacts& facts, const spool::Recipient& recipient, net::WallTime now) {
  const net::WallTime end = delivery::end_of_life(facts.queue, facts.envelope, recipient.domain);
  if (end <= now) {
    return "Its time is over: if the next attempt fails, it is given up.";
  }
  return fmt::format("If nothing works until {}, it is given up{}.", moment(end, now),
                     facts.envelope.sender.empty() ? "" : " and the sender is told");
}

std::string next(const WhyFacts& facts, const spool::Recipient& recipient, net::WallTime now) {
  const std::string& hop = facts.next_hops.at(recipient.domain);
  if (facts.busy.contains(recipient.domain)) {
    return fmt::format("An attempt at {} is under way now.", hop);
  }
  if (!facts.envelope.held.empty()) {
    return "Nothing, until it is released.";
  }
  if (const spool::Pause* const pause = facts.pauses.find(recipient.domain, hop)) {
    return fmt::format(
        "Nothing for now: {} rests since {}{}. `stsrelay queue resume` ends that. {}",
        delivery::subject_of(*pause), moment(pause->since, now), because(pause->reason),
        giving_up(facts, recipient, now));
  }
  if (recipient.next_try <= now) {
    return fmt::format("It is due and waits for its turn at {}. {}", hop,
                       giving_up(facts, recipient, now));
  }
  return fmt::format("It is tried again at {} {}. {}", hop, moment(recipient.next_try, now),
                     giving_up(facts, recipient, now));
}

std::string policy(const WhyFacts& facts, const spool::Recipient& recipient, net::WallTime now) {
  const std::string& hop = facts.next_hops.at(recipient.domain);
  const auto rule = facts.rules->find(std::string_view(hop).substr(0, hop.rfind(':')), now);
  std::string text =
      fmt::format("The local TLS level is {} ({}).",
                  conf::kTlsLevelNames.at(static_cast<std::size_t>(rule->level)), rule->origin);
  const auto cached = facts.policies.find(recipient.domain);
  if (cached != facts.policies.end() && cached->second != nullptr) {
    const sts::CachedPolicy& known = *cached->second;
    text += fmt::format(" MTA-STS policy {} of {} says {}{}.", known.id, known.domain,
                        sts::name(known.policy.mode),
                        known.expires_at <= now ? ", but it has expired" : "");
  } else {
    text += " No MTA-STS policy is known.";
  }
  switch (facts.envelope.tls) {
    case spool::MessageTls::normal:
      break;
    case spool::MessageTls::required:
      text += " The message itself demands verified TLS (REQUIRETLS).";
      break;
    case spool::MessageTls::optional:
      text += " The message itself waives TLS (TLS-Required: No).";
      break;
  }
  return text;
}

const char* state(const WhyFacts& facts, net::WallTime now) {
  if (!facts.busy.empty()) {
    return "under way";
  }
  if (!facts.envelope.held.empty()) {
    return "held";
  }
  const auto rests = [&](const spool::Recipient& recipient) {
    return facts.pauses.find(recipient.domain, facts.next_hops.at(recipient.domain)) != nullptr;
  };
  if (std::ranges::all_of(facts.envelope.recipients, rests)) {
    return "resting";
  }
  const auto due = [now](const spool::Recipient& recipient) { return recipient.next_try <= now; };
  return std::ranges::any_of(facts.envelope.recipients, due) ? "due" : "waiting";
}

}  // namespace

Json why_view(const WhyFacts& facts, net::WallTime now) {
  Json json{{"id", facts.envelope.id.text()},
            {"state", state(facts, now)},
            {"summary", summary(facts, now)},
            {"recipients", Json::array()}};
  for (const spool::Recipient& recipient : facts.envelope.recipients) {
    json["recipients"].push_back(Json{{"address", recipient.address},
                                      {"happened", happened(recipient, now)},
                                      {"next", next(facts, recipient, now)},
                                      {"policy", policy(facts, recipient, now)}});
  }
  return json;
}

}  // namespace relay::control
