// The failure notice for recipients that failed or expired in one attempt (RFC 3464), with a first
// sentence that a person understands. Pure.
#pragma once

#include <chrono>
#include <span>
#include <string>

#include "relay/delivery/settlement.h"
#include "relay/net/clock.h"
#include "relay/spool/message.h"
#include "relay/spool/spool.h"

namespace relay::delivery {

/// At most this much of the original message is returned.
inline constexpr std::size_t kMaxReturned = 64UL * 1024;

struct NoticeFacts {
  std::string hostname;
  spool::MessageId id;  ///< of the notice
  net::WallTime now{};
  std::chrono::milliseconds lifetime{};
};

/// fates: one or more, all failed or expired. original: the start of the message, header included.
[[nodiscard]] spool::Notice failure_notice(const spool::Envelope& envelope,
                                           std::span<const Fate> fates, const std::string& original,
                                           const NoticeFacts& facts);

}  // namespace relay::delivery
