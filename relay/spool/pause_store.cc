#include "relay/spool/pause_store.h"

#include "relay/spool/message_row.h"

namespace relay::spool {

Sql<std::unique_ptr<PauseStore>> PauseStore::open(Database& database) {
  std::unique_ptr<PauseStore> store(new PauseStore);
  auto prepared = database.prepare({
      {&store->save_,
       "INSERT INTO queue_pauses VALUES (?1, ?2, ?3, ?4, ?5) "
       "ON CONFLICT (kind, name) DO UPDATE SET reason = ?3"},
      {&store->remove_, "DELETE FROM queue_pauses WHERE kind = ?1 AND name = ?2"},
  });
  if (!prepared) {
    return passed_on(prepared.error());
  }
  return store;
}

Sql<void> PauseStore::save(const Pause& pause) {
  return without_count(save_.run(static_cast<std::int64_t>(pause.kind),
                                 std::string_view(pause.name), std::string_view(pause.reason),
                                 stored_time(pause.since), std::string_view(pause.by)));
}

Sql<std::int64_t> PauseStore::remove(Pause::Kind kind, const std::string& name) {
  return remove_.run(static_cast<std::int64_t>(kind), std::string_view(name));
}

Sql<std::vector<Pause>> read_pauses(Database& database) {
  auto select = database.prepare(
      "SELECT kind, name, reason, since, set_by FROM queue_pauses ORDER BY kind, name");
  if (!select) {
    return passed_on(select.error());
  }
  std::vector<Pause> pauses;
  auto done = select->each([&](const Row& row) {
    pauses.push_back({static_cast<Pause::Kind>(row.integer(0)), std::string(row.text(1)),
                      std::string(row.text(2)), read_time(row.integer(3)),
                      std::string(row.text(4))});
  });
  if (!done) {
    return passed_on(done.error());
  }
  return pauses;
}

}  // namespace relay::spool
