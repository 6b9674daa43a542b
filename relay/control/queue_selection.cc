#include "relay/control/queue_selection.h"

#include <utility>

#include "relay/control/answers.h"
#include "relay/spool/client_hold.h"

namespace relay::control {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return part.empty() || lower(text).find(part) != std::string::npos;
}

}  // namespace

QueueSelection::QueueSelection(const QueueFilter& filter, net::WallTime now)
    : domain_(filter.domain.empty() ? "" : canonical_domain(filter.domain)),
      sender_(lower(filter.sender)),
      recipient_(lower(filter.recipient)),
      held_for_(lower(filter.held_for)),
      held_client_(filter.held_client),
      held_(filter.held || !filter.held_for.empty()) {
  if (filter.older_than.count() > 0) {
    before_ = now - filter.older_than;
  }
  if (filter.newer_than.count() > 0) {
    after_ = now - filter.newer_than;
  }
}

std::optional<spool::Envelope> QueueSelection::apply(spool::Envelope envelope) const {
  if (!matches(envelope)) {
    return std::nullopt;
  }
  std::erase_if(envelope.recipients,
                [this](const spool::Recipient& recipient) { return !matches(recipient); });
  const bool asked = !domain_.empty() || !recipient_.empty();
  return envelope.recipients.empty() && asked ? std::nullopt : std::optional(std::move(envelope));
}

bool QueueSelection::matches(const spool::Envelope& envelope) const {
  return contains(envelope.sender, sender_) && (!held_ || !envelope.held.empty()) &&
         contains(envelope.held, held_for_) &&
         (held_client_.empty() || spool::is_held_for_client(envelope.held, held_client_)) &&
         (!before_ || envelope.received_at <= *before_) &&
         (!after_ || envelope.received_at >= *after_);
}

bool QueueSelection::matches(const spool::Recipient& recipient) const {
  return (domain_.empty() || recipient.domain == domain_) &&
         contains(recipient.address, recipient_);
}

}  // namespace relay::control
