#include "relay/control/queue_change.h"

#include <algorithm>
#include <utility>

#include "relay/control/answers.h"
#include "relay/control/views.h"
#include "relay/delivery/notifier.h"
#include "relay/delivery/operator_bounce.h"

namespace relay::control {
namespace {

constexpr std::size_t kAtOnce = 250;
constexpr std::size_t kNamed = 1000;  ///< ids that the answer lists

}  // namespace

QueueChanges::QueueChanges(spool::SpoolReader& reader, const net::Clock& clock,
                           DaemonActions daemon, QueueChange request)
    : reader_(reader),
      clock_(clock),
      daemon_(std::move(daemon)),
      request_(std::move(request)),
      selection_(request_.filter, clock.wall()),
      started_(clock.wall()),
      settings_(daemon_.queue_settings()) {}

void QueueChanges::start(Respond respond) {
  respond_ = std::move(respond);
  daemon_.later([self = shared_from_this()] { self->step(); });
}

void QueueChanges::step() {
  if (state_ == State::seen_all || fault_) {
    finish();
    return;
  }
  auto found = request_.ids.empty() ? next_listed() : next_named();
  if (!found) {
    fault_ = found.error();
    finish();
    return;
  }
  if (request_.dry_run || found->empty()) {
    for (const spool::Envelope& envelope : *found) {
      if (request_.action != QueueAction::release || !envelope.held.empty()) {
        count(envelope, envelope.recipients.size());
      }
    }
    daemon_.later([self = shared_from_this()] { self->step(); });
    return;
  }
  apply(std::make_shared<const Batch>(std::move(*found)));
}

spool::Stored<QueueChanges::Batch> QueueChanges::next_named() {
  Batch batch;
  const std::size_t end = std::min(next_id_ + kAtOnce, request_.ids.size());
  for (; next_id_ < end; ++next_id_) {
    const spool::MessageId id = request_.ids[next_id_];
    auto envelope = reader_.envelope(id, "");
    if (!envelope) {
      return Unexpected<spool::StoreFault>(envelope.error());
    }
    if (!*envelope) {
      missing_.push_back(id.text());
    } else if (auto meant = selection_.apply(std::move(**envelope))) {
      batch.push_back(std::move(*meant));
    }
  }
  if (next_id_ == request_.ids.size()) {
    state_ = State::seen_all;
  }
  return batch;
}

spool::Stored<QueueChanges::Batch> QueueChanges::next_listed() {
  auto envelopes = reader_.list(last_, kAtOnce);
  if (!envelopes) {
    return envelopes;
  }
  if (envelopes->size() < kAtOnce) {
    state_ = State::seen_all;
  }
  Batch batch;
  for (spool::Envelope& envelope : *envelopes) {
    last_ = envelope.id;
    // Else a busy relay's new mail could keep it going for ever.
    if (envelope.received_at > started_) {
      continue;
    }
    if (auto meant = selection_.apply(std::move(envelope))) {
      batch.push_back(std::move(*meant));
    }
  }
  return batch;
}

spool::MessageChange QueueChanges::change_of(const spool::Envelope& envelope) const {
  using Kind = spool::MessageChange::Kind;
  const net::WallTime now = clock_.wall();
  spool::MessageChange change{Kind::hold, envelope.id, now};
  switch (request_.action) {
    case QueueAction::hold:
      change.reason = request_.reason.empty() ? "held by the operator" : request_.reason;
      break;
    case QueueAction::release:
      change.kind = Kind::release;
      break;
    case QueueAction::retry:
      change.kind = Kind::retry;
      break;
    case QueueAction::requeue:
      change.kind = Kind::requeue;
      change.next_try = now;
      change.expires_at = now + settings_.lifetime;
      break;
    case QueueAction::bounce:
      // So that no attempt begins while the notice is made; a crash in between leaves it held.
      change.reason = "being returned to the sender: " + request_.reason;
      if (!envelope.held.empty()) {
        change.reason = envelope.held;
      }
      break;
    case QueueAction::remove:
      change.kind = Kind::remove;
      for (const spool::Recipient& recipient : envelope.recipients) {
        change.recipients.push_back(recipient.index);
      }
      break;
  }
  return change;
}

void QueueChanges::apply(const std::shared_ptr<const Batch>& batch) {
  std::vector<spool::MessageChange> changes;
  changes.reserve(batch->size());
  for (const spool::Envelope& envelope : *batch) {
    changes.push_back(change_of(envelope));
  }
  daemon_.change_queue(
      std::move(changes),
      [self = shared_from_this(), batch](const spool::Stored<DaemonActions::QueueChanged>& done) {
        if (!done) {
          self->fault_ = done.error();
          self->finish();
          return;
        }
        const Busy busy(done->busy.begin(), done->busy.end());
        self->count_busy(*batch, busy);
        if (self->request_.action == QueueAction::bounce) {
          self->bounce(batch, busy);
          return;
        }
        self->changed(*batch, *done);
        self->step();
      });
}

void QueueChanges::changed(const Batch& batch, const DaemonActions::QueueChanged& changed) {
  for (std::size_t i = 0; i < batch.size() && i < changed.recipients.size(); ++i) {
    if (changed.recipients[i] > 0) {
      count(batch[i], changed.recipients[i]);
      daemon_.audit(request_, batch[i], changed.recipients[i]);
    }
  }
}

void QueueChanges::count(const spool::Envelope& envelope, std::size_t recipients) {
  ++messages_;
  recipients_ += recipients;
  if (ids_.size() < kNamed) {
    ids_.push_back(envelope.id.text());
  }
}

void QueueChanges::count_busy(const Batch& batch, const Busy& busy) {
  for (const spool::Envelope& envelope : batch) {
    const auto tried = static_cast<std::size_t>(
        std::ranges::count_if(envelope.recipients, [&](const spool::Recipient& recipient) {
          return busy.contains({envelope.id, recipient.domain});
        }));
    under_way_ += tried;
    if (tried > 0) {
      busy_.push_back(envelope.id.text());
    }
  }
}

void QueueChanges::bounce(const std::shared_ptr<const Batch>& batch, const Busy& busy) {
  const auto open = std::make_shared<std::size_t>(batch->size());
  const auto one_done = [self = shared_from_this(), batch, open] {
    if (--*open == 0) {
      self->release(batch);
    }
  };
  for (const spool::Envelope& envelope : *batch) {
    bounce_one(envelope, busy, one_done);
  }
}

void QueueChanges::bounce_one(const spool::Envelope& meant, const Busy& busy,
                              const std::function<void()>& done) {
  // Looked at again: some may have been delivered until the message was held.
  auto found = reader_.envelope(meant.id, "");
  if (!found || !*found) {
    if (!found) {
      fault_ = found.error();
    }
    daemon_.later(done);
    return;
  }
  spool::Envelope envelope = std::move(**found);
  std::erase_if(envelope.recipients, [&](const spool::Recipient& recipient) {
    return busy.contains({envelope.id, recipient.domain}) ||
           std::ranges::find(meant.recipients, recipient.index, &spool::Recipient::index) ==
               meant.recipients.end();
  });
  if (envelope.recipients.empty()) {
    daemon_.later(done);
    return;
  }
  const delivery::NoticeFacts facts = daemon_.notice_facts();
  auto settlement = delivery::operator_bounce(
      envelope, request_.reason,
      delivery::returned_content(reader_, envelope.id, facts.return_size), facts);
  const std::size_t notices = settlement.notices.size();
  daemon_.settle(std::move(settlement), [self = shared_from_this(), envelope, notices,
                                         done](const spool::Stored<void>& stored) {
    if (stored) {
      self->notices_ += notices;
      self->count(envelope, envelope.recipients.size());
      self->daemon_.audit(self->request_, envelope, envelope.recipients.size());
    } else {
      self->fault_ = stored.error();
    }
    done();
  });
}

/// What a bounce left of messages goes on as before.
void QueueChanges::release(const std::shared_ptr<const Batch>& batch) {
  std::vector<spool::MessageChange> changes;
  for (const spool::Envelope& envelope : *batch) {
    if (envelope.held.empty()) {
      changes.push_back({spool::MessageChange::Kind::release, envelope.id, clock_.wall()});
    }
  }
  daemon_.change_queue(
      std::move(changes),
      [self = shared_from_this()](const spool::Stored<DaemonActions::QueueChanged>& done) {
        if (!done) {
          self->fault_ = done.error();
        }
        self->step();
      });
}

void QueueChanges::finish() {
  const auto respond = std::exchange(respond_, {});
  if (fault_) {
    respond(refuse(*fault_));
    return;
  }
  Json json{{"action", name(request_.action)},
            {"dry_run", request_.dry_run},
            {"messages", messages_},
            {"recipients", recipients_},
            {"under_way", under_way_},
            {"ids", ids_},
            {"busy", busy_},
            {"missing", missing_}};
  if (request_.action == QueueAction::bounce) {
    json["notices"] = notices_;
  }
  respond(answer(json));
}

}  // namespace relay::control
