// What is tried as one: the recipients of one domain of one message. A value.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "relay/delivery/destination.h"
#include "relay/spool/message.h"
#include "relay/spool/spool.h"

namespace relay::delivery {

struct Group {
  spool::MessageId id{0};
  std::string domain;
  /// Kept for fresh messages so that they need not be read back; may be null.
  std::shared_ptr<const spool::Envelope> envelope;
  spool::Priority priority = spool::Priority::normal;
  std::size_t owner = 0;  ///< tells senders apart
};

/// Names one among all others.
using GroupKey = std::pair<spool::MessageId, std::string>;

[[nodiscard]] Group group_of(const std::shared_ptr<const spool::Envelope>& envelope,
                             const std::string& domain);
[[nodiscard]] Group group_of(const spool::PendingGroup& pending);

/// The way of a message's recipients of one domain, by where staging lets them go.
[[nodiscard]] MailPath path_of(const spool::Envelope& envelope, const std::string& domain);
[[nodiscard]] MailPath path_of(const spool::PendingGroup& pending);

}  // namespace relay::delivery
