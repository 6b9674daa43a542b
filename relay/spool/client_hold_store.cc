#include "relay/spool/client_hold_store.h"

#include "relay/spool/message_row.h"

namespace relay::spool {

std::string held_for(const ClientHold& hold) {
  return "client " + hold.name + ": " + hold.reason;
}

bool is_held_for_client(std::string_view held, std::string_view client) {
  return held.starts_with(held_for({std::string(client), "", {}, ""}));
}

Sql<std::unique_ptr<ClientHoldStore>> ClientHoldStore::open(Database& database) {
  std::unique_ptr<ClientHoldStore> store(new ClientHoldStore);
  auto prepared = database.prepare({
      {&store->save_, "INSERT OR REPLACE INTO client_holds VALUES (?1, ?2, ?3, ?4)"},
      {&store->remove_, "DELETE FROM client_holds WHERE name = ?1"},
  });
  if (!prepared) {
    return passed_on(prepared.error());
  }
  return store;
}

Sql<void> ClientHoldStore::save(const ClientHold& hold) {
  return without_count(save_.run(std::string_view(hold.name), std::string_view(hold.reason),
                                 stored_time(hold.since), std::string_view(hold.by)));
}

Sql<std::int64_t> ClientHoldStore::remove(const std::string& name) {
  return remove_.run(std::string_view(name));
}

Sql<std::vector<ClientHold>> read_client_holds(Database& database) {
  auto select =
      database.prepare("SELECT name, reason, since, set_by FROM client_holds ORDER BY name");
  if (!select) {
    return passed_on(select.error());
  }
  std::vector<ClientHold> holds;
  auto done = select->each([&](const Row& row) {
    holds.push_back({std::string(row.text(0)), std::string(row.text(1)), read_time(row.integer(2)),
                     std::string(row.text(3))});
  });
  if (!done) {
    return passed_on(done.error());
  }
  return holds;
}

}  // namespace relay::spool
