// How reports lie in the columns of their tables, and what is read back of them.
// Threading: that of the database connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/spool/database.h"
#include "relay/spool/report.h"

namespace relay::spool {

[[nodiscard]] std::int64_t day_number(std::chrono::sys_days day);
[[nodiscard]] std::string to_lines(const std::vector<std::string>& texts);
[[nodiscard]] std::vector<std::string> from_lines(std::string_view lines);

/// Without their contents.
Sql<std::vector<StoredReport>> read_reports(Database& database, const ReportQuery& query);
Sql<std::optional<StoredReport>> read_report(Database& database, const ReportKey& key);
/// By URI.
Sql<std::vector<ReportDelivery>> read_deliveries(Database& database, const ReportKey& key);
/// The first so many of each kind that are due at a time.
Sql<DueReports> read_due(Database& database, net::WallTime now, std::size_t limit);
/// The reports to be planned next: of days from first on and before end of which something was
/// counted that is in no report, unless one is planned already.
Sql<std::vector<ReportKey>> read_unplanned(Database& database, const ReportKey& after,
                                           std::chrono::sys_days end, std::size_t limit);
/// The destinations seen; empty: none.
Sql<std::vector<std::string>> read_record(Database& database, const ReportKey& key);
/// Destinations that a mail in the queue is for, once for each.
Sql<std::vector<std::string>> read_queued(Database& database);
Sql<std::vector<ReportSuppression>> read_suppressions(Database& database);
/// The first day of which anything is kept.
Sql<std::optional<std::chrono::sys_days>> read_first_day(Database& database);

}  // namespace relay::spool
