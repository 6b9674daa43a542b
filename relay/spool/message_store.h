// Rows of messages, recipients and slices; every change is part of the caller's transaction.
// Threading: that of the database connection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "relay/spool/database.h"
#include "relay/spool/message.h"
#include "relay/spool/message_change.h"
#include "relay/spool/spool.h"

namespace relay::spool {

/// CRC-32 of octets, as stored beside each slice; start: that of what is before them.
[[nodiscard]] std::uint32_t crc_of(std::string_view octets, std::uint32_t start = 0);

/// Slices that nothing refers to any more: numbers from `next` up to `count`.
struct LooseSlices {
  MessageId message{0};
  std::uint32_t next = 0;
  std::uint32_t count = 0;
};

/// What went with the last recipient of a message.
struct RemovedMessage {
  LooseSlices loose{};  ///< still to be swept; those of a small message are gone at once
  std::string owner{};  ///< as owner_of() says
  std::uint64_t octets = 0;
};

class MessageStore {
 public:
  static Sql<std::unique_ptr<MessageStore>> open(Database& database);

  Sql<void> insert(const Envelope& envelope, std::uint32_t slices);
  Sql<void> write_slice(MessageId id, std::uint32_t n, std::string_view octets, std::uint32_t crc);
  /// Slices of a message without a row: removed at the next open unless bind_slices() follows.
  Sql<void> mark_loose(MessageId id);
  Sql<void> bind_slices(MessageId id);

  /// Notes that a message comes from another queue. Answer: false: it is or was here.
  Sql<bool> note_import(const Envelope& envelope);
  /// A message that the operator took away may be imported again.
  Sql<void> forget_import(MessageId id);
  /// at: the end of the attempt. Answer: whether the recipient was still there.
  Sql<bool> update(MessageId id, const RecipientUpdate& update, net::WallTime at);
  /// Removes the message if none of its recipients is left; nullopt: some are, or it was gone.
  Sql<std::optional<RemovedMessage>> remove_if_settled(MessageId id);
  /// Marks the message as one whose delay was told. Answer: whether it was not marked before;
  /// false, too, for a message that is gone.
  Sql<bool> mark_delay_told(MessageId id);
  /// Answer: recipients changed; 0: there is no such message, or nothing to change.
  Sql<std::size_t> change(const MessageChange& change);
  /// Removes some of the slices; `next` moves on. At its end the message is no longer marked.
  Sql<void> sweep(LooseSlices& slices);
  /// Removes all that an earlier run left loose.
  Sql<void> sweep_all();

  Sql<std::int64_t> highest_id();
  Sql<void> save_id_ceiling(std::int64_t value);

 private:
  explicit MessageStore(Database& database) : database_(database) {}
  Sql<void> insert_recipient(MessageId id, const Recipient& recipient);
  Sql<std::size_t> remove_recipients(const MessageChange& change);
  Sql<std::size_t> changed_message(MessageId id, Sql<std::int64_t> changed);

  Database& database_;
  Statement insert_message_, insert_recipient_, insert_slice_, mark_loose_, unmark_loose_;
  Statement delete_recipient_, defer_recipient_, message_state_, delete_message_, delete_slices_;
  Statement delete_recipients_, reschedule_, begin_anew_, count_recipients_, save_ceiling_;
  Statement hold_, release_, requeue_, imported_, note_import_, forget_import_, mark_delay_told_;
};

}  // namespace relay::spool
