// The notice about recipients of one attempt (RFC 3464), with a first sentence that a person
// understands. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "conf/notices.h"
#include "relay/delivery/settlement.h"
#include "relay/message/dsn.h"
#include "relay/net/clock.h"
#include "relay/spool/message.h"
#include "relay/spool/spool.h"

namespace relay::delivery {

struct NoticeFacts {
  std::string hostname;
  spool::MessageId id;  ///< of the notice
  net::WallTime now{};
  std::chrono::milliseconds lifetime{};                     ///< of the notice
  std::uint64_t return_size = conf::Notices{}.return_size;  ///< octets of the original, at most
};

struct NoticeSubject {
  message::Action action = message::Action::failed;
  message::Reader reader = message::Reader::sender;
  std::string to;  ///< the reader's address
};

/// fates: one or more, all of which came to what the action says. original: the message, or its
/// start when it is not to be returned whole.
[[nodiscard]] spool::Notice status_notice(const NoticeSubject& subject,
                                          const spool::Envelope& envelope,
                                          std::span<const Fate> fates, const std::string& original,
                                          const NoticeFacts& facts);

}  // namespace relay::delivery
