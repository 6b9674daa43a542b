#include "relay/spool/report_store.h"

#include <string>

#include <fmt/format.h>

#include "relay/spool/message_row.h"
#include "relay/spool/report_row.h"

namespace relay::spool {

namespace {

/// Removes rows of a table that are older than day ?1, some at once.
std::string forgetting(std::string_view table, std::string_view key) {
  return fmt::format(
      "DELETE FROM {0} WHERE ({1}) IN (SELECT {1} FROM {0} WHERE day < ?1 LIMIT {2})", table, key,
      kForgottenAtOnce);
}

}  // namespace

Sql<std::unique_ptr<ReportStore>> ReportStore::open(Database& database) {
  std::unique_ptr<ReportStore> store(new ReportStore);
  auto& s = *store;
  const auto forget_sessions = forgetting("session_counts", "day, report_domain, policy");
  const auto forget_failures =
      forgetting("failure_counts",
                 "day, report_domain, policy, type, sending_mta_ip, receiving_mx_hostname, "
                 "receiving_mx_helo, receiving_ip, reason_code");
  const auto forget_records = forgetting("report_records", "day, domain");
  const auto forget_deliveries = forgetting("report_deliveries", "day, domain, part, uri");
  const auto forget_reports = forgetting("reports", "day, domain, part");
  const auto forget_policies = fmt::format(
      "DELETE FROM report_policies WHERE id IN (SELECT id FROM report_policies EXCEPT "
      "SELECT policy FROM session_counts LIMIT {})",
      kForgottenAtOnce);
  auto prepared = database.prepare({
      {&s.save_record_, "INSERT OR REPLACE INTO report_records VALUES (?1, ?2, ?3)"},
      {&s.plan_,
       "INSERT OR IGNORE INTO reports VALUES (?1, ?2, ?3, 'planned', ?4, '', '', 0, '', x'', '')"},
      {&s.save_report_,
       "INSERT OR REPLACE INTO reports VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"},
      {&s.save_delivery_,
       "INSERT OR REPLACE INTO report_deliveries VALUES "
       "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"},
      {&s.suppress_, "INSERT OR REPLACE INTO report_suppressions VALUES (?1, ?2, ?3)"},
      {&s.lift_, "DELETE FROM report_suppressions WHERE uri = ?1"},
      {&s.end_suppressions_, "DELETE FROM report_suppressions WHERE until < ?1"},
      {&s.hasten_reports_,
       "UPDATE reports SET due = min(due, ?2) WHERE state = 'planned' AND (?1 = '' OR domain = "
       "?1)"},
      {&s.hasten_deliveries_,
       "UPDATE report_deliveries SET next_attempt = min(next_attempt, ?2) "
       "WHERE stage IN ('rendered', 'handed-over') AND message = 0 AND (?1 = '' OR domain = ?1)"},
      {&s.end_mail_,
       "UPDATE report_deliveries SET stage = ?2, attempts = attempts + 1, result = ?3, message = 0 "
       "WHERE message = ?1 AND message != 0"},
      {&s.defer_mail_,
       "UPDATE report_deliveries SET attempts = attempts + 1, result = ?2 "
       "WHERE message = ?1 AND message != 0"},
      {&s.suppress_mail_,
       "INSERT OR REPLACE INTO report_suppressions SELECT uri, ?2, ?3 FROM report_deliveries "
       "WHERE message = ?1 AND message != 0"},
      {&s.forget_sessions_, forget_sessions},
      {&s.forget_failures_, forget_failures},
      {&s.forget_policies_, forget_policies},
      {&s.forget_records_, forget_records},
      {&s.forget_deliveries_, forget_deliveries},
      {&s.forget_reports_, forget_reports},
  });
  if (!prepared) {
    return passed_on(prepared.error());
  }
  return store;
}

Sql<void> ReportStore::write(const ReportWrite& write) {
  Sql<void> done;
  const auto each = [&done](const auto& items, const auto& store) {
    for (const auto& item : items) {
      if (done) {
        done = store(item);
      }
    }
  };
  const auto saved = [this](const auto& item) { return save(item); };
  each(write.records, saved);
  each(write.planned, [this](const PlannedReport& planned) { return plan(planned); });
  each(write.reports, saved);
  each(write.deliveries, saved);
  each(write.suppressions, saved);
  each(write.lifted,
       [this](const std::string& uri) { return without_count(lift_.run(std::string_view(uri))); });
  if (done && write.hasten) {
    done = hasten(*write.hasten);
  }
  if (done && write.forget_before) {
    done = forget(*write.forget_before);
  }
  if (done && write.forget_suppressions) {
    done = without_count(end_suppressions_.run(stored_time(*write.forget_suppressions)));
  }
  return done;
}

Sql<void> ReportStore::save(const SeenRecord& record) {
  return without_count(save_record_.run(day_number(record.key.day),
                                        std::string_view(record.key.domain),
                                        std::string_view(to_lines(record.uris))));
}

Sql<void> ReportStore::plan(const PlannedReport& planned) {
  return without_count(plan_.run(day_number(planned.key.day), std::string_view(planned.key.domain),
                                 std::int64_t{planned.key.part}, stored_time(planned.due)));
}

Sql<void> ReportStore::save(const StoredReport& report) {
  return without_count(
      save_report_.run(day_number(report.key.day), std::string_view(report.key.domain),
                       std::int64_t{report.key.part}, name(report.state), stored_time(report.due),
                       std::string_view(report.id), std::string_view(report.file_name),
                       stored_time(report.rendered_at), std::string_view(report.summary),
                       Blob{report.content}, std::string_view(report.note)));
}

Sql<void> ReportStore::save(const ReportDelivery& delivery) {
  return without_count(save_delivery_.run(
      day_number(delivery.key.day), std::string_view(delivery.key.domain),
      std::int64_t{delivery.key.part}, std::string_view(delivery.uri), rpt::name(delivery.stage),
      std::int64_t{delivery.attempts}, stored_time(delivery.first_attempt),
      stored_time(delivery.next_attempt), std::string_view(delivery.result),
      delivery.message ? delivery.message->value() : 0));
}

Sql<void> ReportStore::save(const ReportSuppression& suppression) {
  return without_count(suppress_.run(std::string_view(suppression.uri),
                                     stored_time(suppression.until),
                                     std::string_view(suppression.why)));
}

Sql<void> ReportStore::hasten(const HastenReports& hasten) {
  const std::string_view domain = hasten.domain;
  auto done = without_count(hasten_reports_.run(domain, stored_time(hasten.at)));
  return done ? without_count(hasten_deliveries_.run(domain, stored_time(hasten.at))) : done;
}

Sql<void> ReportStore::forget(std::chrono::sys_days before) {
  Sql<void> done;
  for (Statement* statement : {&forget_sessions_, &forget_failures_, &forget_records_,
                               &forget_deliveries_, &forget_reports_}) {
    if (done) {
      done = without_count(statement->run(day_number(before)));
    }
  }
  return done ? without_count(forget_policies_.run()) : done;
}

Sql<void> ReportStore::mail_ended(MessageId mail, const ReportMailOutcome& end) {
  Sql<void> done;
  if (end.suppress_until) {
    done = without_count(suppress_mail_.run(mail.value(), stored_time(*end.suppress_until),
                                            std::string_view(end.result)));
  }
  return done ? without_count(
                    end_mail_.run(mail.value(), rpt::name(end.stage), std::string_view(end.result)))
              : done;
}

Sql<void> ReportStore::mail_deferred(MessageId mail, std::string_view result) {
  return without_count(defer_mail_.run(mail.value(), result));
}

}  // namespace relay::spool
