#include "relay/spool/policy_store.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "relay/spool/message_row.h"
#include "relay/spool/message_store.h"

namespace relay::spool {

namespace {

// Of a row that version 1 of the schema wrote.
constexpr std::int64_t kNoChecksum = -1;
constexpr std::chrono::hours kKeptExpired{24 * 30};
constexpr std::chrono::hours kKeptHistory{24 * 180};
constexpr std::int64_t kPurgedAtOnce = 500;  // so that nobody's commit waits for long

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
  patterns.reserve(static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n')));
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

constexpr std::string_view kColumns =
    "SELECT domain, id, mode, max_age, mx, body, fetched_at, expires_at, coalesce(crc, -1) "
    "FROM sts_policies ";

/// Over everything in the row.
std::int64_t checksum(const sts::CachedPolicy& policy, std::string_view mx) {
  const std::array<std::string_view, 5> texts = {
      policy.domain, policy.id, sts::name(policy.policy.mode), mx, policy.policy.body};
  std::string octets;
  for (const std::string_view text : texts) {
    octets.append(text).push_back('\0');
  }
  octets += fmt::format("{} {} {}", policy.policy.max_age.count(), stored_time(policy.fetched_at),
                        stored_time(policy.expires_at));
  return crc_of(octets);
}

StoredPolicy policy_of(const Row& row) {
  auto mode = parse_mode(row.text(2));
  auto patterns = parse_mx_lines(row.text(4));
  std::string domain{row.text(0)};
  if (!mode || !patterns) {
    return Unexpected<std::string>(std::move(domain));
  }
  auto cached = std::make_shared<sts::CachedPolicy>();
  cached->domain = std::move(domain);
  cached->id = row.text(1);
  cached->policy.mode = *mode;
  cached->policy.max_age = std::chrono::seconds(row.integer(3));
  cached->policy.mx = std::move(*patterns);
  cached->policy.body = row.text(5);
  cached->fetched_at = read_time(row.integer(6));
  cached->expires_at = read_time(row.integer(7));
  const auto crc = row.integer(8);
  if (crc != kNoChecksum && crc != checksum(*cached, row.text(4))) {
    return Unexpected<std::string>(std::move(cached->domain));
  }
  return cached;
}

Unexpected<SqlError> failed(SqlError& error) {
  return Unexpected<SqlError>(std::move(error));
}

}  // namespace

Sql<std::unique_ptr<PolicyStore>> PolicyStore::open(Database& database) {
  std::unique_ptr<PolicyStore> store(new PolicyStore);
  auto prepared = database.prepare({
      {&store->save_,
       "INSERT OR REPLACE INTO sts_policies VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
      {&store->forget_, "DELETE FROM sts_policies WHERE domain = ?1"},
      {&store->remember_,
       "INSERT INTO sts_policy_history SELECT domain, "
       "(SELECT coalesce(max(n), 0) + 1 FROM sts_policy_history WHERE domain = ?1), "
       "id, mode, max_age, body, fetched_at, ?4, ?5 FROM sts_policies "
       "WHERE domain = ?1 AND (id <> ?2 OR body <> ?3)"},
      {&store->trim_,
       "DELETE FROM sts_policy_history WHERE domain = ?1 AND n <= "
       "(SELECT max(n) FROM sts_policy_history WHERE domain = ?1) - ?2"},
      {&store->purge_policies_,
       "DELETE FROM sts_policies WHERE domain IN (SELECT domain FROM sts_policies "
       "WHERE min(expires_at, fetched_at + 31622400000) < ?1 LIMIT ?2)"},
      {&store->purge_troubles_,
       "DELETE FROM sts_troubles WHERE domain IN (SELECT domain FROM sts_troubles "
       "WHERE saved_at < ?1 LIMIT ?2)"},
      {&store->purge_history_,
       "DELETE FROM sts_policy_history WHERE (domain, n) IN (SELECT domain, n FROM "
       "sts_policy_history WHERE replaced_at < ?1 LIMIT ?2)"},
  });
  if (!prepared) {
    return failed(prepared.error());
  }
  return store;
}

Sql<void> PolicyStore::save(const sts::CachedPolicy& policy, const PolicyWrite& write) {
  if (auto done = remember(policy.domain, policy.id, policy.policy.body, write); !done) {
    return done;
  }
  const auto mx = mx_lines(policy.policy);
  auto done = save_.run(std::string_view(policy.domain), std::string_view(policy.id),
                        sts::name(policy.policy.mode), std::int64_t{policy.policy.max_age.count()},
                        std::string_view(mx), std::string_view(policy.policy.body),
                        stored_time(policy.fetched_at), stored_time(policy.expires_at),
                        checksum(policy, mx));
  if (!done) {
    return failed(done.error());
  }
  return {};
}

Sql<void> PolicyStore::forget(const std::string& domain, const PolicyWrite& write) {
  // No id is empty, so whatever is there goes into the history.
  if (auto done = remember(domain, {}, {}, write); !done) {
    return done;
  }
  auto done = forget_.run(std::string_view(domain));
  if (!done) {
    return failed(done.error());
  }
  return {};
}

Sql<std::int64_t> PolicyStore::purge(net::WallTime now) {
  std::int64_t removed = 0;
  const auto purge = [&](Statement& statement, std::chrono::hours kept) -> Sql<void> {
    auto done = statement.run(stored_time(now - kept), kPurgedAtOnce);
    if (!done) {
      return failed(done.error());
    }
    removed += *done;
    return {};
  };
  auto done = purge(purge_policies_, kKeptExpired);
  if (done) {
    done = purge(purge_troubles_, kKeptExpired);
  }
  if (done) {
    done = purge(purge_history_, kKeptHistory);
  }
  if (!done) {
    return failed(done.error());
  }
  return removed;
}

Sql<void> PolicyStore::remember(const std::string& domain, std::string_view id,
                                std::string_view body, const PolicyWrite& write) {
  auto added = remember_.run(std::string_view(domain), id, body, stored_time(write.at),
                             std::string_view(write.why));
  if (added && *added > 0) {
    added = trim_.run(std::string_view(domain), std::int64_t{write.history});
  }
  if (!added) {
    return failed(added.error());
  }
  return {};
}

Sql<void> read_policies(Database& database, std::string_view after, std::size_t limit,
                        const std::function<void(StoredPolicy)>& visit) {
  auto statement =
      database.prepare(std::string(kColumns) + "WHERE domain > ?1 ORDER BY domain LIMIT ?2");
  if (!statement) {
    return failed(statement.error());
  }
  constexpr std::size_t kMost = std::numeric_limits<std::int64_t>::max();
  return statement->each([&](const Row& row) { visit(policy_of(row)); }, after,
                         static_cast<std::int64_t>(std::min(limit, kMost)));
}

Sql<std::shared_ptr<const sts::CachedPolicy>> read_policy(Database& database,
                                                          const std::string& domain) {
  auto statement = database.prepare(std::string(kColumns) + "WHERE domain = ?1");
  if (!statement) {
    return failed(statement.error());
  }
  std::shared_ptr<const sts::CachedPolicy> found;
  auto done = statement->each(
      [&](const Row& row) {
        if (auto policy = policy_of(row)) {
          found = std::move(*policy);
        }
      },
      std::string_view(domain));
  if (!done) {
    return failed(done.error());
  }
  return found;
}

Sql<std::vector<ReplacedPolicy>> read_history(Database& database, const std::string& domain) {
  auto statement = database.prepare(
      "SELECT id, mode, max_age, body, fetched_at, replaced_at, why FROM sts_policy_history "
      "WHERE domain = ?1 ORDER BY n DESC");
  if (!statement) {
    return failed(statement.error());
  }
  std::vector<ReplacedPolicy> history;
  auto done = statement->each(
      [&](const Row& row) {
        ReplacedPolicy replaced;
        replaced.id = row.text(0);
        replaced.mode = parse_mode(row.text(1)).value_or(sts::Mode::none);
        replaced.max_age = std::chrono::seconds(row.integer(2));
        replaced.body = row.text(3);
        replaced.fetched_at = read_time(row.integer(4));
        replaced.replaced_at = read_time(row.integer(5));
        replaced.why = row.text(6);
        history.push_back(std::move(replaced));
      },
      std::string_view(domain));
  if (!done) {
    return failed(done.error());
  }
  return history;
}

}  // namespace relay::spool
