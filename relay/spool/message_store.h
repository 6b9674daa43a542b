// Rows of messages, recipients and slices; every change is part of the caller's transaction.
// Threading: that of the database connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "relay/spool/database.h"
#include "relay/spool/message.h"
#include "relay/spool/spool.h"

namespace relay::spool {

/// CRC-32 of octets, as stored beside each slice.
[[nodiscard]] std::uint32_t crc_of(std::string_view octets);

/// Slices that nothing refers to any more: numbers from `next` up to `count`.
struct LooseSlices {
  MessageId message{0};
  std::uint32_t next = 0;
  std::uint32_t count = 0;
};

class MessageStore {
 public:
  static Sql<std::unique_ptr<MessageStore>> open(Database& database);

  Sql<void> insert(const Envelope& envelope, std::uint32_t slices);
  Sql<void> write_slice(MessageId id, std::uint32_t n, std::string_view octets, std::uint32_t crc);
  /// Slices of a message without a row: removed at the next open unless bind_slices() follows.
  Sql<void> mark_loose(MessageId id);
  Sql<void> bind_slices(MessageId id);

  Sql<void> update(MessageId id, const RecipientUpdate& update);
  /// Removes the message if none of its recipients is left. Answer: slices still to be swept
  /// (those of a small message are gone at once).
  Sql<LooseSlices> remove_if_settled(MessageId id);
  /// Marks the message as one whose delay was told. Answer: whether it was not marked before;
  /// false, too, for a message that is gone.
  Sql<bool> mark_delay_told(MessageId id);
  Sql<std::size_t> remove_recipients(MessageId id);
  Sql<std::size_t> reschedule(MessageId id, net::WallTime next_try);
  /// Removes some of the slices; `next` moves on. At its end the message is no longer marked.
  Sql<void> sweep(LooseSlices& slices);
  /// Removes all that an earlier run left loose.
  Sql<void> sweep_all();

  Sql<std::int64_t> highest_id();
  Sql<void> save_id_ceiling(std::int64_t value);

 private:
  explicit MessageStore(Database& database) : database_(database) {}
  Sql<void> insert_recipient(MessageId id, const Recipient& recipient);

  Database& database_;
  Statement insert_message_, insert_recipient_, insert_slice_, mark_loose_, unmark_loose_;
  Statement delete_recipient_, defer_recipient_, message_state_, delete_message_, delete_slices_;
  Statement delete_recipients_, reschedule_, save_ceiling_, mark_delay_told_;
};

}  // namespace relay::spool
