// Reports on disk: what is planned, rendered and delivered, who wanted them, and who is left alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "relay/spool/database.h"
#include "relay/spool/report.h"

namespace relay::spool {

class ReportStore {
 public:
  static Sql<std::unique_ptr<ReportStore>> open(Database& database);
  /// All but the mails; part of the caller's transaction.
  Sql<void> write(const ReportWrite& write);
  /// The delivery that a mail carried has come to its end.
  Sql<void> mail_ended(MessageId mail, const ReportMailOutcome& end);
  /// The mail's recipient was deferred.
  Sql<void> mail_deferred(MessageId mail, std::string_view result);

 private:
  ReportStore() = default;
  Sql<void> save(const SeenRecord& record);
  Sql<void> plan(const PlannedReport& planned);
  Sql<void> save(const StoredReport& report);
  Sql<void> save(const ReportDelivery& delivery);
  Sql<void> save(const ReportSuppression& suppression);
  Sql<void> hasten(const HastenReports& hasten);
  Sql<void> forget(std::chrono::sys_days before);

  Statement save_record_, plan_, save_report_, save_delivery_, suppress_, lift_, end_suppressions_;
  Statement hasten_reports_, hasten_deliveries_;
  Statement end_mail_, defer_mail_, suppress_mail_;
  Statement forget_sessions_, forget_failures_, forget_policies_, forget_records_;
  Statement forget_deliveries_, forget_reports_;
};

/// How many rows of a table one ReportWrite::forget_before removes at most.
inline constexpr std::int64_t kForgottenAtOnce = 2000;

}  // namespace relay::spool
