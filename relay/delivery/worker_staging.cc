// Worker: what a relay in staging does instead of delivering.
#include <algorithm>
#include <utility>

#include "relay/delivery/worker.h"
#include "relay/staging/capture.h"
#include "relay/staging/placement.h"

namespace relay::delivery {

const conf::Staging* Worker::staging() const {
  return settings_->staging ? &*settings_->staging : nullptr;
}

std::optional<AttemptEnd> Worker::staged_attempt(const spool::Envelope& envelope) {
  auto finished = staged_end(envelope, staging(), clock_.wall());
  if (!finished) {
    return std::nullopt;
  }
  capture(envelope, *finished);
  AttemptEnd end;
  end.finished = std::move(*finished);
  end.started_at = clock_.wall();
  return end;
}

/// Before the outcome is recorded: a file may be written twice, and is never missing.
void Worker::capture(const spool::Envelope& envelope, Finished& finished) {
  spool::Envelope kept = envelope;
  std::erase_if(kept.recipients, [&finished](const spool::Recipient& recipient) {
    return std::none_of(finished.outcomes.begin(), finished.outcomes.end(),
                        [&recipient](const RecipientOutcome& outcome) {
                          return outcome.index == recipient.index &&
                                 outcome.staged == Staged::captured;
                        });
  });
  if (kept.recipients.empty()) {
    return;
  }
  const auto slice = [&](std::uint32_t n) -> Expected<std::optional<std::string>, std::string> {
    auto read = reader_->slice(envelope.id, n);
    if (!read) {
      return Unexpected<std::string>(read.error().reason);
    }
    return std::move(*read);
  };
  const auto done = staging::capture(staging()->capture, settings_->hostname, kept, slice);
  if (done) {
    return;
  }
  log_.error("capture-failed", {{"id", envelope.id.text()}, {"detail", done.error()}});
  for (RecipientOutcome& outcome : finished.outcomes) {
    if (outcome.staged == Staged::captured) {
      outcome.result = RecipientOutcome::Result::deferred;
      outcome.status = "4.3.0";
      outcome.text = "not captured: " + done.error();
    }
  }
}

void Worker::stage_outcomes(const spool::Envelope& envelope, Finished& finished) const {
  if (!envelope.recipients.empty() &&
      staging::mark_of(envelope.recipients.front().domain) == staging::Mark::dry_run) {
    for (RecipientOutcome& outcome : finished.outcomes) {
      outcome.staged = Staged::dry_run;
    }
  }
  if (settings_->staging && settings_->staging->soft_bounce) {
    soften(finished);
  }
}

std::string Worker::postmaster() const {
  const std::string& wanted = settings_->notices.postmaster;
  const bool redirected = staging() != nullptr && !staging()->redirect_to.empty() &&
                          !wanted.empty() && !staging::permits(*staging(), wanted);
  return redirected ? staging()->redirect_to : wanted;
}

void Worker::place_notices(spool::Settlement& settlement) const {
  for (spool::Notice& notice : settlement.notices) {
    staging::place(notice, *staging());
  }
  if (settlement.delay_notice) {
    staging::place(*settlement.delay_notice, *staging());
  }
}

}  // namespace relay::delivery
