#include "relay/spool/report_row.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "relay/spool/message_row.h"

namespace relay::spool {

namespace {

constexpr std::array kStates{ReportState::planned, ReportState::rendered, ReportState::withdrawn,
                             ReportState::written};

std::chrono::sys_days read_day(std::int64_t number) {
  return std::chrono::sys_days(std::chrono::days(number));
}

/// Of "day, domain, part, …".
ReportKey read_report_key(const Row& row) {
  return {read_day(row.integer(0)), std::string(row.text(1)), static_cast<int>(row.integer(2))};
}

constexpr std::string_view kReportColumns =
    "day, domain, part, state, due, id, file_name, rendered_at, note";

StoredReport read_stored(const Row& row) {
  StoredReport report;
  report.key = read_report_key(row);
  const auto* const state = std::find_if(
      kStates.begin(), kStates.end(), [&](ReportState each) { return name(each) == row.text(3); });
  report.state = state == kStates.end() ? ReportState::withdrawn : *state;
  report.due = read_time(row.integer(4));
  report.id = row.text(5);
  report.file_name = row.text(6);
  report.rendered_at = read_time(row.integer(7));
  report.note = row.text(8);
  return report;
}

constexpr std::string_view kDeliveryColumns =
    "day, domain, part, uri, stage, attempts, first_attempt, next_attempt, result, message";

ReportDelivery read_delivery(const Row& row) {
  ReportDelivery delivery;
  delivery.key = read_report_key(row);
  delivery.uri = row.text(3);
  delivery.stage = rpt::parse_stage(row.text(4)).value_or(rpt::Stage::refused);
  delivery.attempts = static_cast<int>(row.integer(5));
  delivery.first_attempt = read_time(row.integer(6));
  delivery.next_attempt = read_time(row.integer(7));
  delivery.result = row.text(8);
  if (row.integer(9) != 0) {
    delivery.message = MessageId(row.integer(9));
  }
  return delivery;
}

/// Runs one query and hands its rows to visit.
template <class Visit, class... Values>
Sql<void> each_row(Database& database, const std::string& sql, Visit&& visit,
                   const Values&... values) {
  auto statement = database.prepare(sql);
  if (!statement) {
    return Unexpected<SqlError>(std::move(statement.error()));
  }
  return statement->each(std::forward<Visit>(visit), values...);
}

std::string select(std::string_view columns, std::string_view rest) {
  return "SELECT " + std::string(columns) + " FROM " + std::string(rest);
}

constexpr std::string_view kPlanned = "reports WHERE state = 'planned' AND due";
constexpr std::string_view kUnderWay =
    "report_deliveries WHERE stage IN ('rendered', 'handed-over') AND message = 0 AND next_attempt";

/// The earliest moment after now in a column, if there is one.
Sql<void> find_next(Database& database, const std::string& sql, net::WallTime now,
                    std::optional<net::WallTime>& next) {
  return each_row(
      database, sql,
      [&next](const Row& row) {
        const auto moment = read_time(row.integer(0));
        next = next ? std::min(*next, moment) : moment;
      },
      stored_time(now));
}

template <class T>
Sql<T> with_value(Sql<void> done, T value) {
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return value;
}

}  // namespace

std::string_view name(ReportState state) {
  switch (state) {
    case ReportState::planned:
      return "planned";
    case ReportState::rendered:
      return "rendered";
    case ReportState::withdrawn:
      return "withdrawn";
    case ReportState::written:
      return "written";
  }
  return "withdrawn";
}

std::string day_text(std::chrono::sys_days day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

std::int64_t day_number(std::chrono::sys_days day) {
  return day.time_since_epoch().count();
}

std::string to_lines(const std::vector<std::string>& texts) {
  std::string lines;
  for (const auto& text : texts) {
    lines += text;
    lines += '\n';
  }
  return lines;
}

std::vector<std::string> from_lines(std::string_view lines) {
  std::vector<std::string> texts;
  while (!lines.empty()) {
    const auto end = std::min(lines.find('\n'), lines.size());
    texts.emplace_back(lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return texts;
}

Sql<std::vector<StoredReport>> read_reports(Database& database, const ReportQuery& query) {
  std::vector<StoredReport> reports;
  const auto day = query.day ? day_number(*query.day) : std::numeric_limits<std::int64_t>::min();
  const auto after_day =
      query.after ? day_number(query.after->day) : std::numeric_limits<std::int64_t>::min();
  auto done = each_row(
      database,
      select(kReportColumns,
             "reports WHERE (?1 = ?7 OR day = ?1) AND (?2 = '' OR domain = ?2) "
             "AND (day, domain, part) > (?3, ?4, ?5) ORDER BY day, domain, part LIMIT ?6"),
      [&](const Row& row) { reports.push_back(read_stored(row)); }, day,
      std::string_view(query.domain), after_day,
      query.after ? std::string_view(query.after->domain) : std::string_view(),
      std::int64_t{query.after ? query.after->part : 0}, static_cast<std::int64_t>(query.limit),
      std::numeric_limits<std::int64_t>::min());
  return with_value(std::move(done), std::move(reports));
}

Sql<std::optional<StoredReport>> read_report(Database& database, const ReportKey& key) {
  std::optional<StoredReport> report;
  auto done = each_row(
      database,
      select(std::string(kReportColumns) + ", summary, content",
             "reports WHERE day = ?1 AND domain = ?2 AND part = ?3"),
      [&](const Row& row) {
        report = read_stored(row);
        report->summary = row.text(9);
        report->content = row.text(10);
      },
      day_number(key.day), std::string_view(key.domain), std::int64_t{key.part});
  return with_value(std::move(done), std::move(report));
}

Sql<std::vector<ReportDelivery>> read_deliveries(Database& database, const ReportKey& key) {
  std::vector<ReportDelivery> deliveries;
  auto done = each_row(
      database,
      select(kDeliveryColumns,
             "report_deliveries WHERE day = ?1 AND domain = ?2 AND part = ?3 ORDER BY uri"),
      [&](const Row& row) { deliveries.push_back(read_delivery(row)); }, day_number(key.day),
      std::string_view(key.domain), std::int64_t{key.part});
  return with_value(std::move(done), std::move(deliveries));
}

Sql<DueReports> read_due(Database& database, net::WallTime now, std::size_t limit) {
  DueReports due;
  const auto most = static_cast<std::int64_t>(limit);
  auto done = each_row(
      database, select("day, domain, part", std::string(kPlanned) + " <= ?1 ORDER BY due LIMIT ?2"),
      [&](const Row& row) { due.planned.push_back(read_report_key(row)); }, stored_time(now), most);
  if (done) {
    done = each_row(
        database,
        select(kDeliveryColumns, std::string(kUnderWay) + " <= ?1 ORDER BY next_attempt LIMIT ?2"),
        [&](const Row& row) { due.deliveries.push_back(read_delivery(row)); }, stored_time(now),
        most);
  }
  if (done) {
    done = find_next(database, select("due", std::string(kPlanned) + " > ?1 ORDER BY due LIMIT 1"),
                     now, due.next);
  }
  if (done) {
    done = find_next(
        database,
        select("next_attempt", std::string(kUnderWay) + " > ?1 ORDER BY next_attempt LIMIT 1"), now,
        due.next);
  }
  return with_value(std::move(done), std::move(due));
}

Sql<std::vector<ReportKey>> read_unplanned(Database& database, const ReportKey& after,
                                           std::chrono::sys_days end, std::size_t limit) {
  std::vector<ReportKey> keys;
  auto done = each_row(
      database,
      "SELECT DISTINCT c.day, report_domain, 1 + (SELECT coalesce(max(part), 0) FROM reports r "
      "WHERE r.day = c.day AND r.domain = report_domain) AS next FROM session_counts c "
      "WHERE (c.day, report_domain) > (?1, ?5) AND c.day < ?2 "
      "AND (successful > closed_successful OR failed > closed_failed) AND next <= ?4 "
      "AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.day = c.day AND r.domain = report_domain "
      "AND state = 'planned') ORDER BY c.day, report_domain LIMIT ?3",
      [&](const Row& row) { keys.push_back(read_report_key(row)); }, day_number(after.day),
      day_number(end), static_cast<std::int64_t>(limit), std::int64_t{kMostParts},
      std::string_view(after.domain));
  return with_value(std::move(done), std::move(keys));
}

Sql<std::vector<std::string>> read_record(Database& database, const ReportKey& key) {
  std::vector<std::string> uris;
  auto done = each_row(
      database, "SELECT uris FROM report_records WHERE day = ?1 AND domain = ?2",
      [&](const Row& row) { uris = from_lines(row.text(0)); }, day_number(key.day),
      std::string_view(key.domain));
  return with_value(std::move(done), std::move(uris));
}

Sql<std::vector<std::string>> read_queued(Database& database) {
  std::vector<std::string> uris;
  auto done = each_row(database, "SELECT uri FROM report_deliveries WHERE message != 0",
                       [&](const Row& row) { uris.emplace_back(row.text(0)); });
  return with_value(std::move(done), std::move(uris));
}

Sql<std::vector<ReportSuppression>> read_suppressions(Database& database) {
  std::vector<ReportSuppression> suppressions;
  auto done =
      each_row(database, "SELECT uri, until, why FROM report_suppressions ORDER BY uri",
               [&](const Row& row) {
                 suppressions.push_back({std::string(row.text(0)), read_time(row.integer(1)),
                                         std::string(row.text(2))});
               });
  return with_value(std::move(done), std::move(suppressions));
}

Sql<std::optional<std::chrono::sys_days>> read_first_day(Database& database) {
  std::optional<std::chrono::sys_days> first;
  const auto none = std::numeric_limits<std::int64_t>::max();
  auto done = each_row(
      database,
      "SELECT min(coalesce((SELECT min(day) FROM session_counts), ?1), "
      "coalesce((SELECT min(day) FROM failure_counts), ?1), "
      "coalesce((SELECT min(day) FROM report_records), ?1), "
      "coalesce((SELECT min(day) FROM report_deliveries), ?1), "
      "coalesce((SELECT min(day) FROM reports), ?1))",
      [&](const Row& row) {
        if (row.integer(0) != none) {
          first = read_day(row.integer(0));
        }
      },
      none);
  return with_value(std::move(done), first);
}

}  // namespace relay::spool
