#include "relay/spool/message_store.h"

#include <algorithm>
#include <vector>

#include <sqlite3.h>
#include <zlib.h>

#include "relay/spool/message_row.h"
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

std::uint32_t crc_of(std::string_view octets) {
  const void* start = octets.data();
  return static_cast<std::uint32_t>(
      crc32_z(crc32_z(0, nullptr, 0), static_cast<const Bytef*>(start), octets.size()));
}

Sql<std::unique_ptr<MessageStore>> MessageStore::open(Database& database) {
  std::unique_ptr<MessageStore> store(new MessageStore(database));
  auto& s = *store;
  auto prepared = database.prepare({
      {&s.insert_message_,
       "INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"},
      {&s.insert_recipient_, "INSERT INTO recipients VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
      {&s.insert_slice_, "INSERT INTO slices VALUES (?1, ?2, ?3)"},
      {&s.mark_loose_, "INSERT OR IGNORE INTO loose_slices VALUES (?1)"},
      {&s.unmark_loose_, "DELETE FROM loose_slices WHERE message = ?1"},
      {&s.delete_recipient_, "DELETE FROM recipients WHERE key = ?1"},
      {&s.defer_recipient_,
       "UPDATE recipients SET attempts = attempts + 1, next_try = ?2, last_result = ?3 "
       "WHERE key = ?1"},
      {&s.message_state_,
       "SELECT slices, EXISTS (SELECT 1 FROM recipients WHERE key BETWEEN ?2 AND ?3) "
       "FROM messages WHERE id = ?1"},
      {&s.delete_message_, "DELETE FROM messages WHERE id = ?1"},
      {&s.delete_slices_, "DELETE FROM slices WHERE key BETWEEN ?1 AND ?2"},
      {&s.delete_recipients_, "DELETE FROM recipients WHERE key BETWEEN ?1 AND ?2"},
      {&s.reschedule_, "UPDATE recipients SET next_try = ?3 WHERE key BETWEEN ?1 AND ?2"},
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
      std::string_view(envelope.client_ip), std::string_view(envelope.client_helo));
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
      std::string_view(recipient.orcpt), std::string_view(recipient.last_result)));
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

Sql<void> MessageStore::update(MessageId id, const RecipientUpdate& update) {
  const KeyRange keys(id);
  if (update.index > kMaxPosition || keys.last < keys.first) {
    return {};
  }
  const auto key = keys.first + update.index;
  switch (update.outcome) {
    case RecipientUpdate::Outcome::delivered:
    case RecipientUpdate::Outcome::failed:
      return without_count(delete_recipient_.run(key));
    case RecipientUpdate::Outcome::deferred:
      break;
  }
  return without_count(
      defer_recipient_.run(key, stored_time(update.next_try), std::string_view(update.result)));
}

Sql<LooseSlices> MessageStore::remove_if_settled(MessageId id) {
  const KeyRange keys(id);
  LooseSlices slices{id, 0, 0};
  bool settled = false;
  auto done = message_state_.each(
      [&](const Row& row) {
        slices.count = static_cast<std::uint32_t>(row.integer(0));
        settled = row.integer(1) == 0;
      },
      id.value(), keys.first, keys.last);
  if (!done) {
    return passed_on(done.error());
  }
  if (!settled) {
    return LooseSlices{};
  }
  done = without_count(delete_message_.run(id.value()));
  if (done) {
    done = slices.count <= kSlicesAtOnce ? without_count(delete_slices_.run(keys.first, keys.last))
                                         : mark_loose(id);
  }
  if (!done) {
    return passed_on(done.error());
  }
  return slices.count <= kSlicesAtOnce ? LooseSlices{} : slices;
}

Sql<bool> MessageStore::mark_delay_told(MessageId id) {
  auto changed = mark_delay_told_.run(id.value(), kDelayTold);
  if (!changed) {
    return passed_on(changed.error());
  }
  return *changed > 0;
}

Sql<std::size_t> MessageStore::remove_recipients(MessageId id) {
  const KeyRange keys(id);
  return as_size(delete_recipients_.run(keys.first, keys.last));
}

Sql<std::size_t> MessageStore::reschedule(MessageId id, net::WallTime next_try) {
  const KeyRange keys(id);
  return as_size(reschedule_.run(keys.first, keys.last, stored_time(next_try)));
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
