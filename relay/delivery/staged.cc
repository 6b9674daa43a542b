#include "relay/delivery/staged.h"

#include <string>
#include <utility>

#include "relay/staging/placement.h"

namespace relay::delivery {
namespace {

using Result = RecipientOutcome::Result;

/// The enhanced code of "451 4.3.0 Later", or what stands for none: "4.0.0".
std::string status_of(const std::string& reply) {
  const std::string word = reply.substr(4, reply.find(' ', 4) - 4);
  const bool coded = word.size() >= 5 && word.front() == reply.front() && word[1] == '.' &&
                     word.find_first_not_of("0123456789.") == std::string::npos;
  return coded ? word : std::string(1, reply.front()) + ".0.0";
}

Result result_of(const std::string& reply) {
  return reply.front() == '2'   ? Result::delivered
         : reply.front() == '4' ? Result::deferred
                                : Result::failed;
}

void simulate(const conf::StagingFault& fault, RecipientOutcome& outcome) {
  outcome.staged = Staged::simulated;
  switch (fault.connection) {
    case conf::StagingFault::Connection::kept:
      outcome.result = result_of(fault.reply);
      outcome.status = status_of(fault.reply);
      outcome.text = fault.reply;
      outcome.remote_reply = fault.reply;
      return;
    case conf::StagingFault::Connection::dropped:
      outcome.status = "4.4.2";
      outcome.text = "connection lost, as staging.faults say";
      return;
    case conf::StagingFault::Connection::tls_failed:
      outcome.status = "4.7.5";
      outcome.text = "the certificate is not valid for the host, as staging.faults say";
      return;
  }
}

void sink(const conf::Staging* staging, net::WallTime age_limit, net::WallTime now,
          RecipientOutcome& outcome) {
  const bool captured = staging != nullptr && !staging->capture.empty();
  outcome.staged = captured ? Staged::captured : Staged::sinked;
  outcome.status = "2.0.0";
  outcome.text = captured ? "captured: nothing leaves this relay (staging.capture)"
                          : "sinked: nothing leaves this relay (staging.sink)";
  outcome.result = captured || now >= age_limit ? Result::delivered : Result::deferred;
}

RecipientOutcome end_of(const spool::Envelope& envelope, const spool::Recipient& recipient,
                        const conf::Staging* staging, net::WallTime now) {
  RecipientOutcome outcome;
  outcome.index = recipient.index;
  const conf::StagingFault* const fault =
      staging == nullptr ? nullptr
                         : staging->fault(conf::StagingFault::At::delivery, recipient.address);
  if (fault == nullptr) {
    const auto keep =
        staging == nullptr || !staging->sink ? std::chrono::milliseconds(0) : staging->sink_keep;
    sink(staging, envelope.received_at + keep, now, outcome);
  } else if (now < envelope.received_at + fault->delay) {
    outcome.staged = Staged::simulated;
    outcome.status = "4.4.1";
    outcome.text = "the answer is late, as staging.faults say";
  } else {
    simulate(*fault, outcome);
  }
  return outcome;
}

RecipientOutcome held_back(const spool::Recipient& recipient) {
  RecipientOutcome outcome;
  outcome.index = recipient.index;
  outcome.status = "4.7.1";
  outcome.staged = Staged::held_back;
  outcome.text =
      "not sent: accepted before this relay was set to staging, which would not let it out; remove "
      "it, or remove the section staging";
  return outcome;
}

}  // namespace

std::string_view name(Staged staged) {
  switch (staged) {
    case Staged::no:
      return "";
    case Staged::sinked:
      return "sinked";
    case Staged::captured:
      return "captured";
    case Staged::dry_run:
      return "dry-run";
    case Staged::simulated:
      return "simulated";
    case Staged::held_back:
      return "held-back";
  }
  return "";
}

std::optional<Finished> staged_end(const spool::Envelope& envelope, const conf::Staging* staging,
                                   net::WallTime now) {
  if (envelope.recipients.empty()) {
    return std::nullopt;
  }
  const staging::Mark mark = staging::mark_of(envelope.recipients.front().domain);
  if (mark == staging::Mark::dry_run || (mark == staging::Mark::none && staging == nullptr)) {
    return std::nullopt;
  }
  Finished finished;
  finished.outcomes.reserve(envelope.recipients.size());
  bool leaves = mark == staging::Mark::none;
  for (const spool::Recipient& recipient : envelope.recipients) {
    leaves = leaves && staging::permits(*staging, recipient.address);
    finished.outcomes.push_back(mark == staging::Mark::nowhere
                                    ? end_of(envelope, recipient, staging, now)
                                    : held_back(recipient));
  }
  return leaves ? std::nullopt : std::optional<Finished>(std::move(finished));
}

void soften(Finished& finished) {
  for (RecipientOutcome& outcome : finished.outcomes) {
    if (outcome.result == Result::failed) {
      outcome.result = Result::deferred;
      if (outcome.status.starts_with('5')) {
        outcome.status.front() = '4';
      }
    }
  }
}

}  // namespace relay::delivery
