#include "relay/spool/report_counts.h"

#include "rpt/record.h"

namespace relay::spool {
namespace {

void add(ReportTotals::Ends& ends, rpt::Stage stage) {
  switch (stage) {
    case rpt::Stage::planned:
    case rpt::Stage::rendered:
    case rpt::Stage::handed_over:
      return;
    case rpt::Stage::accepted:
      ++ends.accepted;
      return;
    case rpt::Stage::refused:
      ++ends.refused;
      return;
    case rpt::Stage::expired:
      ++ends.expired;
      return;
  }
}

}  // namespace

void ReportCounts::count(const ReportWrite& write) {
  const std::lock_guard lock(mutex_);
  for (const ReportDelivery& delivery : write.deliveries) {
    const auto destination = rpt::parse_destination(delivery.uri);
    const bool posted = destination && destination->scheme == rpt::Scheme::https;
    add(posted ? totals_.https : totals_.mail, delivery.stage);
  }
}

void ReportCounts::count(const ReportMailOutcome& outcome) {
  const std::lock_guard lock(mutex_);
  add(totals_.mail, outcome.stage);
}

ReportTotals ReportCounts::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

}  // namespace relay::spool
