// Received reports as text for a person, as JSON and CSV for programs, and as a page. What the
// reports say is escaped in each. Pure.
#pragma once

#include <string>
#include <string_view>

#include "relay/cli/output.h"
#include "relay/cli/report_collection.h"

namespace relay::cli {

enum class ReportColour { none, ansi };

/// Per domain and reporter: sessions, share that went well, failures with reason and remedy.
[[nodiscard]] std::string reports_as_text(const ReportCollection& collection, ReportColour colour);
/// {"reports": […], "unreadable": […], "duplicates": […], "other_messages": n}; each report in
/// the RFC's form with its sources and warnings.
[[nodiscard]] Json reports_as_json(const ReportCollection& collection);
/// RFC 4180. One row per failure detail ("failure") and one with the totals of each policy
/// ("total"). No cell begins as a formula does.
[[nodiscard]] std::string reports_as_csv(const ReportCollection& collection);
/// One page without scripts or anything from elsewhere.
[[nodiscard]] std::string reports_as_html(const ReportCollection& collection);

/// A cell of CSV: quoted if need be, a ' before what a spreadsheet would take for a formula.
[[nodiscard]] std::string csv_cell(std::string_view text);
/// Text for HTML, also in attributes.
[[nodiscard]] std::string html_text(std::string_view text);

}  // namespace relay::cli
