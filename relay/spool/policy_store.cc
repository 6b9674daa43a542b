#include "relay/spool/policy_store.h"

#include <optional>
#include <string_view>

#include "relay/spool/message_row.h"

namespace relay::spool {

namespace {

std::string mx_lines(const sts::Policy& policy) {
  std::string lines;
  for (const auto& pattern : policy.mx) {
    lines += pattern.text();
    lines += '\n';
  }
  return lines;
}

std::optional<std::vector<sts::MxPattern>> parse_mx_lines(std::string_view lines) {
  std::vector<sts::MxPattern> patterns;
  while (!lines.empty()) {
    const auto end = lines.find('\n');
    auto pattern = sts::MxPattern::parse(lines.substr(0, end));
    if (!pattern || end == std::string_view::npos) {
      return std::nullopt;
    }
    patterns.push_back(std::move(*pattern));
    lines.remove_prefix(end + 1);
  }
  return patterns;
}

std::optional<sts::Mode> parse_mode(std::string_view text) {
  for (const auto mode : {sts::Mode::enforce, sts::Mode::testing, sts::Mode::none}) {
    if (text == sts::name(mode)) {
      return mode;
    }
  }
  return std::nullopt;
}

std::optional<sts::CachedPolicy> read_policy(const Row& row) {
  auto mode = parse_mode(row.text(2));
  auto patterns = parse_mx_lines(row.text(4));
  if (!mode || !patterns) {
    return std::nullopt;
  }
  sts::CachedPolicy cached;
  cached.domain = row.text(0);
  cached.id = row.text(1);
  cached.policy.mode = *mode;
  cached.policy.max_age = std::chrono::seconds(row.integer(3));
  cached.policy.mx = std::move(*patterns);
  cached.policy.body = row.text(5);
  cached.fetched_at = read_time(row.integer(6));
  cached.expires_at = read_time(row.integer(7));
  return cached;
}

}  // namespace

Sql<std::unique_ptr<PolicyStore>> PolicyStore::open(Database& database) {
  std::unique_ptr<PolicyStore> store(new PolicyStore);
  auto prepared = database.prepare({
      {&store->save_,
       "INSERT OR REPLACE INTO sts_policies VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
      {&store->forget_, "DELETE FROM sts_policies WHERE domain = ?1"},
  });
  if (!prepared) {
    return Unexpected<SqlError>(std::move(prepared.error()));
  }
  return store;
}

Sql<void> PolicyStore::save(const sts::CachedPolicy& policy) {
  const auto mx = mx_lines(policy.policy);
  auto done = save_.run(std::string_view(policy.domain), std::string_view(policy.id),
                        sts::name(policy.policy.mode), std::int64_t{policy.policy.max_age.count()},
                        std::string_view(mx), std::string_view(policy.policy.body),
                        stored_time(policy.fetched_at), stored_time(policy.expires_at));
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return {};
}

Sql<void> PolicyStore::forget(const std::string& domain) {
  auto done = forget_.run(std::string_view(domain));
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return {};
}

Sql<std::vector<sts::CachedPolicy>> read_policies(Database& database) {
  auto statement = database.prepare(
      "SELECT domain, id, mode, max_age, mx, body, fetched_at, expires_at FROM sts_policies");
  if (!statement) {
    return Unexpected<SqlError>(std::move(statement.error()));
  }
  std::vector<sts::CachedPolicy> policies;
  auto done = statement->each([&](const Row& row) {
    if (auto policy = read_policy(row)) {
      policies.push_back(std::move(*policy));
    }
  });
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return policies;
}

}  // namespace relay::spool
