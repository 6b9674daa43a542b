// What it comes to when the operator returns mail to its sender. Pure.
#pragma once

#include <string>

#include "relay/delivery/notice.h"
#include "relay/spool/message.h"
#include "relay/spool/spool.h"

namespace relay::delivery {

/// All recipients of the envelope given fail for a reason of the operator's; the notice is in it,
/// if the sender is to be told at all. original: the start of the message, header included.
[[nodiscard]] spool::Settlement operator_bounce(const spool::Envelope& envelope,
                                                const std::string& reason,
                                                const std::string& original,
                                                const NoticeFacts& facts);

}  // namespace relay::delivery
