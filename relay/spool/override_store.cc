#include "relay/spool/override_store.h"

#include <string_view>

#include "relay/spool/message_row.h"
#include "relay/spool/report_row.h"

namespace relay::spool {

namespace {

constexpr std::int64_t kForever = 0;  // in the place of an end

PolicyOverride read_override(const Row& row) {
  PolicyOverride rule;
  rule.domain = row.text(0);
  rule.level = row.text(1);
  rule.mx = from_lines(row.text(2));
  rule.fingerprints = from_lines(row.text(3));
  if (row.integer(4) != kForever) {
    rule.until = read_time(row.integer(4));
  }
  rule.reason = row.text(5);
  rule.effect =
      row.integer(6) != 0 ? PolicyOverride::Effect::report_only : PolicyOverride::Effect::enforced;
  rule.by = row.text(7);
  rule.set_at = read_time(row.integer(8));
  rule.state = row.integer(9) != 0 ? PolicyOverride::State::ended : PolicyOverride::State::set;
  return rule;
}

}  // namespace

Sql<std::unique_ptr<OverrideStore>> OverrideStore::open(Database& database) {
  std::unique_ptr<OverrideStore> store(new OverrideStore);
  auto prepared = database.prepare({
      {&store->save_,
       "INSERT OR REPLACE INTO policy_overrides VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"},
      {&store->remove_, "DELETE FROM policy_overrides WHERE domain = ?1"},
  });
  if (!prepared) {
    return Unexpected<SqlError>(std::move(prepared.error()));
  }
  return store;
}

Sql<void> OverrideStore::save(const PolicyOverride& rule) {
  const auto mx = to_lines(rule.mx);
  const auto fingerprints = to_lines(rule.fingerprints);
  auto done =
      save_.run(std::string_view(rule.domain), std::string_view(rule.level), std::string_view(mx),
                std::string_view(fingerprints), rule.until ? stored_time(*rule.until) : kForever,
                std::string_view(rule.reason),
                std::int64_t{rule.effect == PolicyOverride::Effect::report_only ? 1 : 0},
                std::string_view(rule.by), stored_time(rule.set_at),
                std::int64_t{rule.state == PolicyOverride::State::ended ? 1 : 0});
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return {};
}

Sql<std::int64_t> OverrideStore::remove(const std::string& domain) {
  return remove_.run(std::string_view(domain));
}

Sql<std::vector<PolicyOverride>> read_overrides(Database& database) {
  auto statement = database.prepare(
      "SELECT domain, level, mx, fingerprints, until, reason, report_only, set_by, set_at, ended "
      "FROM policy_overrides ORDER BY domain");
  if (!statement) {
    return Unexpected<SqlError>(std::move(statement.error()));
  }
  std::vector<PolicyOverride> rules;
  auto done = statement->each([&](const Row& row) { rules.push_back(read_override(row)); });
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return rules;
}

}  // namespace relay::spool
