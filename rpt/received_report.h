// What a received TLS report says (RFC 8460 §4.4), as its sender wrote it: unknown kinds and odd
// forms are kept, each with a coded warning. Values; no I/O.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rpt/result.h"

namespace rpt {

/// What is amiss in a report that can be read all the same.
enum class WarningCode {
  bom,
  invalid_utf8,
  trailing_data,
  duplicate_key,
  date_no_zone,
  bad_date,
  end_next_midnight,
  null_field,
  empty_field,
  missing_field,
  wrong_type,
  not_an_array,
  policy_string_not_array,
  mx_host_not_array,
  count_not_number,
  detail_sum_exceeds_total,
  unknown_result_type,
  unknown_policy_type,
  id_without_at,
  metadata_mismatch,
  conflicting_duplicate,
};
/// "date-no-zone" …
[[nodiscard]] std::string_view name(WarningCode code);

struct ReportWarning {
  WarningCode code = WarningCode::bom;
  std::string where;  ///< "policies[0].summary"; empty: the report as a whole
  std::string note;   ///< what was found; may be empty, may hold anything
  friend bool operator==(const ReportWarning&, const ReportWarning&) = default;
};

/// A moment as written and, where that can be understood, as a time; without zone it is UTC.
struct ReportTime {
  std::string text;
  std::optional<std::chrono::sys_seconds> at;
};

/// One element of failure-details; unknown fields are empty.
struct ReceivedFailure {
  std::string type;  ///< as written
  std::string sending_mta_ip;
  std::string receiving_mx_hostname;
  std::string receiving_mx_helo;
  std::string receiving_ip;
  std::string additional_information;  ///< a URI; never fetched
  std::string reason_code;
  std::uint64_t sessions = 0;
};

/// One element of policies.
struct ReceivedPolicy {
  std::string type;  ///< as written
  std::vector<std::string> strings;
  std::string domain;
  std::vector<std::string> mx_hosts;
  std::uint64_t successful_sessions = 0;
  std::uint64_t failed_sessions = 0;
  std::vector<ReceivedFailure> failures;
};

struct ReceivedReport {
  std::string organization;
  std::string contact;
  std::string id;
  ReportTime start;
  ReportTime end;
  std::vector<ReceivedPolicy> policies;
};

/// Counts from anywhere: their sum stays at the largest value.
[[nodiscard]] constexpr std::uint64_t plus(std::uint64_t a, std::uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

}  // namespace rpt
