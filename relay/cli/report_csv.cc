#include <fmt/format.h>
#include <fmt/ranges.h>

#include "relay/cli/report_views.h"

namespace relay::cli {
namespace {

constexpr std::string_view kHeader =
    "row,domain,reporter,submitter,report_id,start,end,policy_type,policy_domain,policy_string,"
    "mx_host,result_type,sending_mta_ip,receiving_mx_hostname,receiving_mx_helo,receiving_ip,"
    "failure_reason_code,additional_information,successful_sessions,failed_sessions,source,"
    "dkim\r\n";

using Cells = std::vector<std::string>;

void write_row(const Cells& cells, std::string& csv) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    csv += (i == 0 ? "" : ",") + csv_cell(cells[i]);
  }
  csv += "\r\n";
}

/// What each row of a policy begins with.
Cells policy_cells(const char* row, const CollectedReport& from,
                   const rpt::ReceivedPolicy& policy) {
  return {row,
          from.domain,
          from.report.organization,
          from.submitter,
          from.report.id,
          from.report.start.text,
          from.report.end.text,
          policy.type,
          policy.domain,
          fmt::format("{}", fmt::join(policy.strings, "; ")),
          fmt::format("{}", fmt::join(policy.mx_hosts, " "))};
}

void append(Cells& cells, Cells more) {
  cells.insert(cells.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
}

void write_policy(const CollectedReport& from, const rpt::ReceivedPolicy& policy,
                  std::string& csv) {
  for (const rpt::ReceivedFailure& failure : policy.failures) {
    Cells cells = policy_cells("failure", from, policy);
    append(cells, {failure.type, failure.sending_mta_ip, failure.receiving_mx_hostname,
                   failure.receiving_mx_helo, failure.receiving_ip, failure.reason_code,
                   failure.additional_information, "", std::to_string(failure.sessions),
                   from.source, std::string(name(from.dkim.verdict))});
    write_row(cells, csv);
  }
  Cells cells = policy_cells("total", from, policy);
  append(cells, {"", "", "", "", "", "", "", std::to_string(policy.successful_sessions),
                 std::to_string(policy.failed_sessions), from.source,
                 std::string(name(from.dkim.verdict))});
  write_row(cells, csv);
}

}  // namespace

std::string csv_cell(std::string_view text) {
  std::string cell = printable(text);
  // Spreadsheets run what begins so, some also behind blanks.
  const auto first = cell.find_first_not_of(' ');
  if (first != std::string::npos &&
      std::string_view("=+-@|%").find(cell[first]) != std::string::npos) {
    cell.insert(0, "'");
  }
  if (cell.find_first_of("\",;\t") == std::string::npos && !cell.starts_with(' ') &&
      !cell.ends_with(' ')) {
    return cell;
  }
  std::string quoted = "\"";
  for (const char c : cell) {
    quoted.append(c == '"' ? 2 : 1, c);
  }
  return quoted + "\"";
}

std::string reports_as_csv(const ReportCollection& collection) {
  std::string csv(kHeader);
  for (const CollectedReport& collected : collection.reports()) {
    for (const rpt::ReceivedPolicy& policy : collected.report.policies) {
      write_policy(collected, policy, csv);
    }
  }
  return csv;
}

}  // namespace relay::cli
