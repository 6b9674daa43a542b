// Which messages a filter means. Pure.
#pragma once

#include <optional>
#include <string>

#include "relay/control/queue_requests.h"
#include "relay/net/clock.h"
#include "relay/spool/message.h"

namespace relay::control {

class QueueSelection {
 public:
  /// now: what ages are counted from.
  QueueSelection(const QueueFilter& filter, net::WallTime now);

  /// The envelope with the recipients that are meant; nullopt if the message is not.
  [[nodiscard]] std::optional<spool::Envelope> apply(spool::Envelope envelope) const;

 private:
  [[nodiscard]] bool matches(const spool::Envelope& envelope) const;
  [[nodiscard]] bool matches(const spool::Recipient& recipient) const;

  std::string domain_, sender_, recipient_, held_for_, held_client_;
  bool held_;
  std::optional<net::WallTime> before_, after_;  ///< when it arrived
};

}  // namespace relay::control
