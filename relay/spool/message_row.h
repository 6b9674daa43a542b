// How an envelope's fields lie in the columns of the tables; shared by the writer and the readers.
#pragma once

#include <cstdint>

#include "relay/spool/database.h"
#include "relay/spool/message.h"

namespace relay::spool {

/// The bit of messages.flags that says Envelope::delay_told.
inline constexpr std::int64_t kDelayTold = std::int64_t{1} << 20;

[[nodiscard]] std::int64_t stored_time(net::WallTime time);
[[nodiscard]] net::WallTime read_time(std::int64_t milliseconds);
[[nodiscard]] std::int64_t message_flags(const Envelope& envelope);

[[nodiscard]] Priority read_priority(std::int64_t value);

/// Columns for read_envelope(), in its order.
constexpr const char* kEnvelopeColumns =
    "id, origin, flags, received_at, expires_at, size, sender, ret, envid, client_ip, client_helo, "
    "priority, user, held, held_at, life_from, listener";
[[nodiscard]] Envelope read_envelope(const Row& row);

/// Columns for read_recipient(), in its order.
constexpr const char* kRecipientColumns =
    "key, attempts, next_try, address, domain, notify, orcpt, last_result, last_try";
[[nodiscard]] Recipient read_recipient(const Row& row);

}  // namespace relay::spool
