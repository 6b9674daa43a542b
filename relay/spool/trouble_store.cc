#include "relay/spool/trouble_store.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

#include "relay/spool/message_row.h"

namespace relay::spool {

namespace {

using Kind = sts::DiscoveryFault::Kind;

constexpr std::int64_t kNever = 0;  // in the place of a time

std::string_view text_of(Kind kind) {
  switch (kind) {
    case Kind::fetch_error:
      return "fetch_error";
    case Kind::policy_invalid:
      return "policy_invalid";
    case Kind::webpki_invalid:
      return "webpki_invalid";
  }
  return "";
}

std::optional<sts::DiscoveryFault> fault_of(std::string_view kind, std::string_view reason) {
  for (const Kind each : {Kind::fetch_error, Kind::policy_invalid, Kind::webpki_invalid}) {
    if (kind == text_of(each)) {
      return sts::DiscoveryFault{each, std::string{reason}};
    }
  }
  return std::nullopt;
}

sts::Alert alert_of(std::string_view text) {
  for (const auto alert : {sts::Alert::info, sts::Alert::warning, sts::Alert::error}) {
    if (text == sts::name(alert)) {
      return alert;
    }
  }
  return sts::Alert::none;
}

PolicyTrouble trouble_of(const Row& row) {
  PolicyTrouble trouble;
  trouble.domain = row.text(0);
  auto fault = fault_of(row.text(5), row.text(6));
  if (!row.text(1).empty()) {
    sts::FetchBackoff backoff;
    backoff.id = row.text(1);
    backoff.retry_at = read_time(row.integer(2));
    backoff.failures = static_cast<int>(
        std::clamp<std::int64_t>(row.integer(3), 1, std::numeric_limits<int>::max()));
    backoff.tried_at = read_time(row.integer(4));
    backoff.fault = std::move(fault);
    trouble.backoff = std::move(backoff);
  }
  if (row.integer(7) != kNever) {
    auto failing = fault_of(row.text(9), row.text(10));
    trouble.failing = sts::FailingRefresh{read_time(row.integer(7)),
                                          alert_of(row.text(8)),
                                          std::move(failing).value_or(sts::DiscoveryFault{}),
                                          {}};
  }
  trouble.loss = row.integer(11) != 0 ? PolicyTrouble::Loss::told : PolicyTrouble::Loss::none;
  return trouble;
}

}  // namespace

Sql<std::unique_ptr<TroubleStore>> TroubleStore::open(Database& database) {
  std::unique_ptr<TroubleStore> store(new TroubleStore);
  auto prepared = database.prepare({
      {&store->save_,
       "INSERT OR REPLACE INTO sts_troubles VALUES "
       "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"},
      {&store->remove_, "DELETE FROM sts_troubles WHERE domain = ?1"},
  });
  if (!prepared) {
    return Unexpected<SqlError>(std::move(prepared.error()));
  }
  return store;
}

Sql<void> TroubleStore::save(const PolicyTrouble& trouble, net::WallTime at) {
  if (trouble.empty()) {
    return remove(trouble.domain);
  }
  const sts::FetchBackoff backoff = trouble.backoff.value_or(sts::FetchBackoff{});
  const sts::DiscoveryFault fault = backoff.fault.value_or(sts::DiscoveryFault{});
  const sts::FailingRefresh failing = trouble.failing.value_or(sts::FailingRefresh{});
  auto done = save_.run(
      std::string_view(trouble.domain), std::string_view(backoff.id), stored_time(backoff.retry_at),
      std::int64_t{backoff.failures}, stored_time(backoff.tried_at),
      backoff.fault ? text_of(fault.kind) : std::string_view(), std::string_view(fault.reason),
      trouble.failing ? stored_time(failing.since) : kNever, sts::name(failing.said),
      trouble.failing ? text_of(failing.fault.kind) : std::string_view(),
      std::string_view(failing.fault.reason),
      std::int64_t{trouble.loss == PolicyTrouble::Loss::told ? 1 : 0}, stored_time(at));
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return {};
}

Sql<void> TroubleStore::remove(const std::string& domain) {
  auto done = remove_.run(std::string_view(domain));
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return {};
}

Sql<void> read_troubles(Database& database, const std::function<void(PolicyTrouble)>& visit) {
  auto statement = database.prepare(
      "SELECT domain, backoff_id, retry_at, failures, tried_at, fault, reason, failing_since, "
      "said, "
      "failing_fault, failing_reason, loss_told FROM sts_troubles ORDER BY domain");
  if (!statement) {
    return Unexpected<SqlError>(std::move(statement.error()));
  }
  return statement->each([&](const Row& row) { visit(trouble_of(row)); });
}

}  // namespace relay::spool
