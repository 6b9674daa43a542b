// What the log says of one recipient's attempt. Pure.
#pragma once

#include <vector>

#include "relay/delivery/runner.h"
#include "relay/delivery/settlement.h"
#include "relay/log.h"
#include "relay/net/clock.h"
#include "relay/spool/message.h"

namespace relay::delivery {

/// The fields of the event "delivery". delays: in the queue, until the mail transaction, from then.
[[nodiscard]] std::vector<LogField> delivery_fields(const spool::Envelope& envelope,
                                                    const Fate& fate, const AttemptEnd& end,
                                                    net::WallTime now);

}  // namespace relay::delivery
