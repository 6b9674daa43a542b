// How reports, their deliveries and suppressions appear as JSON on the control socket. Pure.
#pragma once

#include <string>
#include <vector>

#include "relay/control/views.h"
#include "relay/net/clock.h"
#include "relay/reporting/reporter.h"
#include "relay/spool/report.h"

namespace relay::control {

/// A destination as anyone may see it: without credentials.
[[nodiscard]] std::string shown_uri(const std::string& uri);
[[nodiscard]] Json report_view(const spool::StoredReport& report,
                               const std::vector<spool::ReportDelivery>& deliveries);
/// With what it says: "json" (the report itself) and "summary" (the same for people).
[[nodiscard]] Json report_details(const spool::StoredReport& report,
                                  const std::vector<spool::ReportDelivery>& deliveries);
[[nodiscard]] Json preview_view(const reporting::Preview& preview);
/// One line of a day's previews.
[[nodiscard]] Json preview_summary(const reporting::Preview& preview);
[[nodiscard]] Json suppression_view(const spool::ReportSuppression& suppression, net::WallTime now);

}  // namespace relay::control
