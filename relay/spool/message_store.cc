#include "relay/spool/message_store.h"

#include <algorithm>
#include <vector>

#include <sqlite3.h>
#include <zlib.h>

#include "relay/spool/message_row.h"
#include "relay/spool/occupancy.h"
#include "relay/spool/schema.h"

namespace relay::spool {

namespace {

// A message of at most so many slices (1 MiB) goes in the transaction that settles it; a larger
// one would hold up everyone else's commit and is swept bit by bit.
constexpr std::uint32_t kSlicesAtOnce = 16;

Unexpected<SqlError> too_big(const char* what) {
  return Unexpected<SqlError>({SQLITE_TOOBIG, 0, what});
}

Sql<std::size_t> as_size(Sql<std::int64_t> changed) {
  if (!changed) {
    return passed_on(changed.error());
  }
  return static_cast<std::size_t>(*changed);
}

}  // namespace

std::uint32_t crc_of(std::string_view octets, std::uint32_t start) {
  const void* begin = octets.data();
  return static_cast<std::uint32_t>(
      crc32_z(start, static_cast<const Bytef*>(begin), octets.size()));
}

Sql<std::unique_ptr<MessageStore>> MessageStore::open(Database& database) {
  std::unique_ptr<MessageStore> store(new MessageStore(database));
  auto& s = *store;
  auto prepared = database.prepare({
      {&s.insert_message_,
       "INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
       "?15, ?16, ?17, ?18)"},
      {&s.insert_recipient_, "INSERT INTO recipients VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
      {&s.insert_slice_, "INSERT INTO slices VALUES (?1, ?2, ?3)"},
      {&s.mark_loose_, "INSERT OR IGNORE INTO loose_slices VALUES (?1)"},
      {&s.unmark_loose_, "DELETE FROM loose_slices WHERE message = ?1"},
      {&s.delete_recipient_, "DELETE FROM recipients WHERE key = ?1"},
      {&s.defer_recipient_,
       "UPDATE recipients SET attempts = attempts + 1, next_try = ?2, last_result = ?3, "
       "last_try = ?4 WHERE key = ?1"},
      {&s.message_state_,
       "SELECT slices, EXISTS (SELECT 1 FROM recipients WHERE key BETWEEN ?2 AND ?3), size, "
       "user, sender "
       "FROM messages WHERE id = ?1"},
      {&s.delete_message_, "DELETE FROM messages WHERE id = ?1"},
      {&s.delete_slices_, "DELETE FROM slices WHERE key BETWEEN ?1 AND ?2"},
      {&s.delete_recipients_, "DELETE FROM recipients WHERE key BETWEEN ?1 AND ?2"},
      {&s.reschedule_, "UPDATE recipients SET next_try = ?3 WHERE key BETWEEN ?1 AND ?2"},
      {&s.begin_anew_,
       "UPDATE recipients SET attempts = 0, next_try = ?3 WHERE key BETWEEN ?1 AND ?2"},
      {&s.count_recipients_, "SELECT count(*) FROM recipients WHERE key BETWEEN ?1 AND ?2"},
      // Held again with another reason, it has been held since the first time.
      {&s.hold_,
       "UPDATE messages SET held_at = CASE held WHEN '' THEN ?3 ELSE held_at END, held = ?2 "
       "WHERE id = ?1"},
      {&s.release_,
       "UPDATE messages SET expires_at = expires_at + max(0, ?2 - held_at), "
       "life_from = life_from + max(0, ?2 - held_at), held = '', held_at = 0 "
       "WHERE id = ?1 AND held != ''"},
      {&s.requeue_,
       "UPDATE messages SET expires_at = ?3, life_from = ?2, held = '', held_at = 0, "
       "flags = flags & ~?4 WHERE id = ?1"},
      {&s.imported_,
       "SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1 AND received_at = ?2) OR "
       "EXISTS (SELECT 1 FROM queue_imports WHERE id = ?1 AND received_at = ?2)"},
      {&s.note_import_, "INSERT INTO queue_imports VALUES (?1, ?2, ?3)"},
      {&s.forget_import_, "DELETE FROM queue_imports WHERE message = ?1"},
      {&s.mark_delay_told_,
       "UPDATE messages SET flags = flags | ?2 WHERE id = ?1 AND flags & ?2 = 0"},
      {&s.save_ceiling_, "INSERT OR REPLACE INTO id_ceiling VALUES (1, ?1)"},
  });
  if (!prepared) {
    return passed_on(prepared.error());
  }
  return store;
}

Sql<void> MessageStore::insert(const Envelope& envelope, std::uint32_t slices) {
  auto done = insert_message_.run(
      envelope.id.value(), std::int64_t{slices}, static_cast<std::int64_t>(envelope.origin),
      message_flags(envelope), stored_time(envelope.received_at), stored_time(envelope.expires_at),
      static_cast<std::int64_t>(envelope.size), std::string_view(envelope.sender),
      std::string_view(envelope.ret), std::string_view(envelope.envid),
      std::string_view(envelope.client_ip), std::string_view(envelope.client_helo),
      static_cast<std::int64_t>(envelope.priority), std::string_view(envelope.user),
      std::string_view(envelope.held),
      stored_time(envelope.held.empty() ? net::WallTime{} : envelope.held_at),
      stored_time(envelope.life_from == net::WallTime{} ? envelope.received_at
                                                        : envelope.life_from),
      std::string_view(envelope.listener));
  if (!done) {
    return passed_on(done.error());
  }
  for (const auto& recipient : envelope.recipients) {
    auto inserted = insert_recipient(envelope.id, recipient);
    if (!inserted) {
      return inserted;
    }
  }
  return {};
}

Sql<void> MessageStore::insert_recipient(MessageId id, const Recipient& recipient) {
  if (recipient.index > kMaxPosition) {
    return too_big("a message has too many recipients");
  }
  return without_count(insert_recipient_.run(
      KeyRange(id).first + recipient.index, std::int64_t{recipient.attempts},
      stored_time(recipient.next_try), std::string_view(recipient.address),
      std::string_view(recipient.domain), std::string_view(recipient.notify),
      std::string_view(recipient.orcpt), std::string_view(recipient.last_result),
      stored_time(recipient.last_try)));
}

Sql<void> MessageStore::write_slice(MessageId id, std::uint32_t n, std::string_view octets,
                                    std::uint32_t crc) {
  if (n > kMaxPosition) {
    return too_big("a message has too many slices");
  }
  return without_count(insert_slice_.run(KeyRange(id).first + n, std::int64_t{crc}, Blob{octets}));
}

Sql<void> MessageStore::mark_loose(MessageId id) {
  return without_count(mark_loose_.run(id.value()));
}

Sql<void> MessageStore::bind_slices(MessageId id) {
  return without_count(unmark_loose_.run(id.value()));
}

Sql<bool> MessageStore::note_import(const Envelope& envelope) {
  bool known = false;
  auto done = imported_.each([&](const Row& row) { known = row.integer(0) != 0; },
                             envelope.imported_id.value(), stored_time(envelope.received_at));
  if (done && !known) {
    done = without_count(note_import_.run(envelope.imported_id.value(),
                                          stored_time(envelope.received_at), envelope.id.value()));
  }
  if (!done) {
    return passed_on(done.error());
  }
  return !known;
}

Sql<void> MessageStore::forget_import(MessageId id) {
  return without_count(forget_import_.run(id.value()));
}

Sql<bool> MessageStore::update(MessageId id, const RecipientUpdate& update, net::WallTime at) {
  const KeyRange keys(id);
  if (update.index > kMaxPosition || keys.last < keys.first) {
    return false;
  }
  const auto key = keys.first + update.index;
  Sql<std::int64_t> changed;
  switch (update.outcome) {
    case RecipientUpdate::Outcome::delivered:
    case RecipientUpdate::Outcome::failed:
      changed = delete_recipient_.run(key);
      break;
    case RecipientUpdate::Outcome::deferred:
      changed = defer_recipient_.run(key, stored_time(update.next_try),
                                     std::string_view(update.result), stored_time(at));
      break;
  }
  if (!changed) {
    return passed_on(changed.error());
  }
  return *changed > 0;
}

Sql<std::optional<RemovedMessage>> MessageStore::remove_if_settled(MessageId id) {
  const KeyRange keys(id);
  std::optional<RemovedMessage> removed;
  auto done = message_state_.each(
      [&](const Row& row) {
        if (row.integer(1) == 0) {
          removed = RemovedMessage{{id, 0, static_cast<std::uint32_t>(row.integer(0))},
                                   owner_of(row.text(3), row.text(4)),
                                   static_cast<std::uint64_t>(row.integer(2))};
        }
      },
      id.value(), keys.first, keys.last);
  if (!done) {
    return passed_on(done.error());
  }
  if (!removed) {
    return removed;
  }
  const bool at_once = removed->loose.count <= kSlicesAtOnce;
  done = without_count(delete_message_.run(id.value()));
  if (done) {
    done = at_once ? without_count(delete_slices_.run(keys.first, keys.last)) : mark_loose(id);
  }
  if (!done) {
    return passed_on(done.error());
  }
  if (at_once) {
    removed->loose = {};
  }
  return removed;
}

Sql<bool> MessageStore::mark_delay_told(MessageId id) {
  auto changed = mark_delay_told_.run(id.value(), kDelayTold);
  if (!changed) {
    return passed_on(changed.error());
  }
  return *changed > 0;
}

Sql<std::size_t> MessageStore::change(const MessageChange& change) {
  const KeyRange keys(change.id);
  switch (change.kind) {
    case MessageChange::Kind::hold:
      return changed_message(
          change.id,
          hold_.run(change.id.value(), std::string_view(change.reason), stored_time(change.at)));
    case MessageChange::Kind::release:
      return changed_message(change.id, release_.run(change.id.value(), stored_time(change.at)));
    case MessageChange::Kind::retry:
      return as_size(reschedule_.run(keys.first, keys.last, stored_time(change.at)));
    case MessageChange::Kind::requeue: {
      auto changed = requeue_.run(change.id.value(), stored_time(change.at),
                                  stored_time(change.expires_at), kDelayTold);
      if (!changed || *changed == 0) {
        return as_size(std::move(changed));
      }
      return as_size(begin_anew_.run(keys.first, keys.last, stored_time(change.next_try)));
    }
    case MessageChange::Kind::remove:
      return remove_recipients(change);
  }
  return std::size_t{0};
}

/// The recipients of a message whose row was changed; 0 if it was not.
Sql<std::size_t> MessageStore::changed_message(MessageId id, Sql<std::int64_t> changed) {
  if (!changed || *changed == 0) {
    return as_size(std::move(changed));
  }
  const KeyRange keys(id);
  std::size_t count = 0;
  auto done = count_recipients_.each(
      [&](const Row& row) { count = static_cast<std::size_t>(row.integer(0)); }, keys.first,
      keys.last);
  if (!done) {
    return passed_on(done.error());
  }
  return count;
}

Sql<std::size_t> MessageStore::remove_recipients(const MessageChange& change) {
  const KeyRange keys(change.id);
  if (change.recipients.empty() || keys.last < keys.first) {
    return as_size(delete_recipients_.run(keys.first, keys.last));
  }
  std::size_t count = 0;
  for (const std::uint32_t index : change.recipients) {
    if (index > kMaxPosition) {
      continue;
    }
    const auto removed = delete_recipient_.run(keys.first + index);
    if (!removed) {
      return as_size(removed);
    }
    count += static_cast<std::size_t>(*removed);
  }
  return count;
}

Sql<void> MessageStore::sweep(LooseSlices& slices) {
  const auto first = KeyRange(slices.message).first;
  const auto end = std::min(slices.next + kSlicesAtOnce, slices.count);
  auto done = without_count(delete_slices_.run(first + slices.next, first + end - 1));
  if (done && end == slices.count) {
    done = bind_slices(slices.message);
  }
  if (done) {
    slices.next = end;
  }
  return done;
}

Sql<void> MessageStore::sweep_all() {
  auto find = database_.prepare("SELECT message FROM loose_slices");
  if (!find) {
    return passed_on(find.error());
  }
  std::vector<MessageId> messages;
  auto done = find->each([&](const Row& row) { messages.emplace_back(row.integer(0)); });
  for (const auto id : messages) {
    if (done) {
      const KeyRange keys(id);
      done = without_count(delete_slices_.run(keys.first, keys.last));
    }
    if (done) {
      done = bind_slices(id);
    }
  }
  return done;
}

Sql<std::int64_t> MessageStore::highest_id() {
  return database_.integer(
      "SELECT max(coalesce((SELECT max(id) FROM messages), 0), "
      "coalesce((SELECT value FROM id_ceiling), 0))");
}

Sql<void> MessageStore::save_id_ceiling(std::int64_t value) {
  return without_count(save_ceiling_.run(value));
}

}  // namespace relay::spool
