#include "relay/spool/result_store.h"

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "relay/spool/message_store.h"

namespace relay::spool {

namespace {

using Json = nlohmann::json;

// Of a policy and day, as many as a report may be told to show (`reports.details_per_policy`): what
// peers vary at will, as the name in their EHLO reply, must not fill the disk.
constexpr std::int64_t kMostDetails = 1000;
// Bounds the memory of a long run; domains come and go.
constexpr std::size_t kPolicyIdsKept = 4096;

std::string stored_text(const rpt::PolicyDescription& policy) {
  const Json fields = {rpt::wire_name(policy.type), policy.strings, policy.domain, policy.mx_hosts};
  // A policy may quote octets that are not UTF-8.
  return fields.dump(-1, ' ', false, Json::error_handler_t::replace);
}

rpt::PolicyDescription parse_stored_text(std::string_view text) {
  rpt::PolicyDescription policy;
  const auto fields = Json::parse(text, nullptr, false);
  if (!fields.is_array() || fields.size() != 4) {
    return policy;
  }
  policy.type = rpt::parse_policy_type(fields[0].get<std::string>())
                    .value_or(rpt::PolicyType::no_policy_found);
  policy.strings = fields[1].get<std::vector<std::string>>();
  policy.domain = fields[2].get<std::string>();
  policy.mx_hosts = fields[3].get<std::vector<std::string>>();
  return policy;
}

rpt::Tally::Key read_key(const Row& row) {
  return {std::string(row.text(0)), parse_stored_text(row.text(1))};
}

rpt::FailureDetail read_failure(const Row& row) {
  rpt::FailureDetail failure;
  failure.type = rpt::parse_result_type(row.text(2)).value_or(rpt::ResultType::validation_failure);
  failure.sending_mta_ip = row.text(3);
  failure.receiving_mx_hostname = row.text(4);
  failure.receiving_mx_helo = row.text(5);
  failure.receiving_ip = row.text(6);
  failure.reason_code = row.text(7);
  return failure;
}

bool is_all(const TallyQuery& query) {
  return query.counts == TallyQuery::Counts::all;
}

/// Two forms, so that one domain's rows are found by the key.
std::string of_day(const TallyQuery& query) {
  return std::string(" JOIN report_policies ON report_policies.id = policy WHERE day = ?1 AND ") +
         (query.report_domain.empty() ? "?2 = ''" : "report_domain = ?2");
}

std::string select_sessions(const TallyQuery& query) {
  const std::string start = "SELECT report_domain, description, ";
  return is_all(query)
             ? start + "successful, failed FROM session_counts" + of_day(query)
             : start +
                   "successful - closed_successful, failed - closed_failed FROM session_counts" +
                   of_day(query) +
                   " AND (successful > closed_successful OR failed > closed_failed)";
}

std::string select_failures(const TallyQuery& query) {
  const std::string start =
      "SELECT report_domain, description, type, sending_mta_ip, receiving_mx_hostname, "
      "receiving_mx_helo, receiving_ip, reason_code, ";
  return is_all(query)
             ? start + "count FROM failure_counts" + of_day(query)
             : start + "count - closed FROM failure_counts" + of_day(query) + " AND count > closed";
}

}  // namespace

Sql<std::unique_ptr<ResultStore>> ResultStore::open(Database& database) {
  std::unique_ptr<ResultStore> store(new ResultStore);
  auto prepared = database.prepare({
      {&store->find_policy_, "SELECT id FROM report_policies WHERE crc = ?1 AND description = ?2"},
      {&store->insert_policy_,
       "INSERT INTO report_policies (crc, description) VALUES (?1, ?2) RETURNING id"},
      {&store->count_sessions_,
       "INSERT INTO session_counts (day, report_domain, policy, successful, failed) "
       "VALUES (?1, ?2, ?3, ?4, ?5) "
       "ON CONFLICT DO UPDATE SET successful = successful + excluded.successful, "
       "failed = failed + excluded.failed"},
      {&store->count_known_failure_,
       "UPDATE failure_counts SET count = count + ?10 "
       "WHERE day = ?1 AND report_domain = ?2 AND policy = ?3 AND type = ?4 "
       "AND sending_mta_ip = ?5 AND receiving_mx_hostname = ?6 AND receiving_mx_helo = ?7 "
       "AND receiving_ip = ?8 AND reason_code = ?9"},
      {&store->count_details_,
       "SELECT count(*) FROM failure_counts WHERE day = ?1 AND report_domain = ?2 AND policy = ?3"},
      {&store->count_failure_,
       "INSERT INTO failure_counts (day, report_domain, policy, type, sending_mta_ip, "
       "receiving_mx_hostname, receiving_mx_helo, receiving_ip, reason_code, count) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
       "ON CONFLICT DO UPDATE SET count = count + excluded.count"},
      {&store->close_sessions_,
       "UPDATE session_counts SET closed_successful = closed_successful + ?4, "
       "closed_failed = closed_failed + ?5 "
       "WHERE day = ?1 AND report_domain = ?2 AND policy = ?3"},
      {&store->close_failure_,
       "UPDATE failure_counts SET closed = closed + ?10 "
       "WHERE day = ?1 AND report_domain = ?2 AND policy = ?3 AND type = ?4 "
       "AND sending_mta_ip = ?5 AND receiving_mx_hostname = ?6 AND receiving_mx_helo = ?7 "
       "AND receiving_ip = ?8 AND reason_code = ?9"},
  });
  if (!prepared) {
    return passed_on(prepared.error());
  }
  return store;
}

Sql<void> ResultStore::add(std::chrono::sys_days day, const rpt::Tally& tally) {
  return for_each(day, tally, count_sessions_, [this](const FailureCount& counted) {
    auto changed = run(count_known_failure_, counted);
    if (!changed || *changed > 0) {
      return changed;
    }
    auto kept = details_kept(counted);
    if (!kept || *kept < kMostDetails) {
      return kept ? run(count_failure_, counted) : kept;
    }
    FailureCount folded = counted;
    const rpt::FailureDetail overflow = rpt::folded_detail(counted.failure.get().type, 1);
    folded.failure = overflow;
    return run(count_failure_, folded);
  });
}

Sql<void> ResultStore::close(std::chrono::sys_days day, const rpt::Tally& tally) {
  return for_each(day, tally, close_sessions_,
                  [this](const FailureCount& counted) { return run(close_failure_, counted); });
}

Sql<void> ResultStore::for_each(std::chrono::sys_days day, const rpt::Tally& tally,
                                Statement& sessions, const CountFailure& count_failure) {
  const std::int64_t day_number = day.time_since_epoch().count();
  for (const auto& [key, counts] : tally.counts()) {
    auto policy = policy_id(key.second);
    if (!policy) {
      return passed_on(policy.error());
    }
    auto counted = sessions.run(day_number, std::string_view(key.first), *policy,
                                static_cast<std::int64_t>(counts.successful_sessions),
                                static_cast<std::int64_t>(counts.failed_sessions));
    for (const auto& [failure, count] : counts.failures) {
      if (counted) {
        counted = count_failure({day_number, key.first, *policy, failure, count});
      }
    }
    if (!counted) {
      return passed_on(counted.error());
    }
  }
  return {};
}

Sql<std::int64_t> ResultStore::run(Statement& statement, const FailureCount& counted) {
  const rpt::FailureDetail& failure = counted.failure;
  return statement.run(
      counted.day, counted.report_domain, counted.policy, rpt::wire_name(failure.type),
      std::string_view(failure.sending_mta_ip), std::string_view(failure.receiving_mx_hostname),
      std::string_view(failure.receiving_mx_helo), std::string_view(failure.receiving_ip),
      std::string_view(failure.reason_code), static_cast<std::int64_t>(counted.sessions));
}

Sql<std::int64_t> ResultStore::details_kept(const FailureCount& counted) {
  std::int64_t kept = 0;
  auto done = count_details_.each([&kept](const Row& row) { kept = row.integer(0); }, counted.day,
                                  counted.report_domain, counted.policy);
  if (!done) {
    return passed_on(done.error());
  }
  return kept;
}

Sql<std::int64_t> ResultStore::policy_id(const rpt::PolicyDescription& policy) {
  const auto known = policy_ids_.find(policy);
  if (known != policy_ids_.end()) {
    return known->second;
  }
  const auto text = stored_text(policy);
  const std::int64_t crc = crc_of(text);
  std::optional<std::int64_t> id;
  const auto take_id = [&](const Row& row) { id = row.integer(0); };
  auto done = find_policy_.each(take_id, crc, std::string_view(text));
  if (done && !id) {
    done = insert_policy_.each(take_id, crc, std::string_view(text));
  }
  if (!done) {
    return passed_on(done.error());
  }
  if (policy_ids_.size() >= kPolicyIdsKept) {
    policy_ids_.clear();
  }
  policy_ids_.emplace(policy, id.value_or(0));
  return id.value_or(0);
}

Sql<rpt::Tally> read_tally(Database& database, const TallyQuery& query) {
  auto transaction = Transaction::begin(database, Transaction::Access::read);
  if (!transaction) {
    return passed_on(transaction.error());
  }
  Statement sessions;
  Statement failures;
  const std::string of_sessions = select_sessions(query);
  const std::string of_failures = select_failures(query);
  auto done = database.prepare({{&sessions, of_sessions}, {&failures, of_failures}});
  rpt::Tally tally;
  const std::int64_t number = query.day.time_since_epoch().count();
  if (done) {
    done = sessions.each(
        [&](const Row& row) {
          rpt::PolicyCounts counts;
          counts.successful_sessions = static_cast<std::uint64_t>(row.integer(2));
          counts.failed_sessions = static_cast<std::uint64_t>(row.integer(3));
          tally.add_counts(read_key(row), counts);
        },
        number, std::string_view(query.report_domain));
  }
  if (done) {
    done = failures.each(
        [&](const Row& row) {
          rpt::PolicyCounts counts;
          counts.failures[read_failure(row)] = static_cast<std::uint64_t>(row.integer(8));
          tally.add_counts(read_key(row), counts);
        },
        number, std::string_view(query.report_domain));
  }
  if (!done) {
    return passed_on(done.error());
  }
  return tally;
}

}  // namespace relay::spool
