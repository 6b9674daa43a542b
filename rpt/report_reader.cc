#include "rpt/report_reader.h"

#include <array>

#include "rpt/gunzip.h"
#include "rpt/json_guard.h"
#include "rpt/lenient_fields.h"

namespace rpt {
namespace {

constexpr std::string_view kBom = "\xef\xbb\xbf";
constexpr std::size_t kMaxWarnings = 1000;

// In the order of the enumerators.
constexpr std::array<std::string_view, 21> kWarningNames = {
    "bom",
    "invalid-utf8",
    "trailing-data",
    "duplicate-key",
    "date-no-zone",
    "bad-date",
    "end-next-midnight",
    "null-field",
    "empty-field",
    "missing-field",
    "wrong-type",
    "not-an-array",
    "policy-string-not-array",
    "mx-host-not-array",
    "count-not-number",
    "detail-sum-exceeds-total",
    "unknown-result-type",
    "unknown-policy-type",
    "id-without-at",
    "metadata-mismatch",
    "conflicting-duplicate",
};
constexpr std::array<std::string_view, 7> kFaultNames = {
    "empty", "too-large", "truncated", "damaged", "not-json", "too-deep", "not-a-report"};

ReceivedFailure read_failure(const LenientFields& fields) {
  ReceivedFailure read;
  read.type = fields.text("result-type", Presence::required);
  read.sending_mta_ip = fields.text("sending-mta-ip", Presence::optional);
  read.receiving_mx_hostname = fields.text("receiving-mx-hostname", Presence::optional);
  read.receiving_mx_helo = fields.text("receiving-mx-helo", Presence::optional);
  read.receiving_ip = fields.text("receiving-ip", Presence::optional);
  read.additional_information = fields.text("additional-information", Presence::optional);
  read.reason_code = fields.text("failure-reason-code", Presence::optional);
  read.sessions = fields.count("failed-session-count");
  if (!read.type.empty() && !parse_result_type(read.type)) {
    fields.warn(WarningCode::unknown_result_type, "result-type", read.type);
  }
  return read;
}

void read_policy_description(const LenientFields& fields, ReceivedPolicy& into) {
  into.type = fields.text("policy-type", Presence::required);
  into.strings = fields.texts("policy-string", WarningCode::policy_string_not_array);
  into.domain = fields.text("policy-domain", Presence::required);
  into.mx_hosts = fields.texts("mx-host", WarningCode::mx_host_not_array);
  if (!into.type.empty() && !parse_policy_type(into.type)) {
    fields.warn(WarningCode::unknown_policy_type, "policy-type", into.type);
  }
}

void read_counts(const LenientFields& policy, ReceivedPolicy& into) {
  const LenientFields summary = policy.object("summary");
  into.successful_sessions = summary.count("total-successful-session-count");
  into.failed_sessions = summary.count("total-failure-session-count");
  std::uint64_t sum = 0;
  for (const ReceivedFailure& failure : into.failures) {
    sum = plus(sum, failure.sessions);
  }
  if (!summary.has("total-failure-session-count")) {
    into.failed_sessions = sum;
  } else if (sum > into.failed_sessions) {
    policy.warn(WarningCode::detail_sum_exceeds_total, "failure-details",
                std::to_string(sum) + " > " + std::to_string(into.failed_sessions));
  }
  if (into.failed_sessions > 0 && !policy.has("failure-details")) {
    policy.warn(WarningCode::missing_field, "failure-details");
  }
}

ReceivedPolicy read_policy(const LenientFields& fields) {
  ReceivedPolicy read;
  read_policy_description(fields.object("policy"), read);
  for (const LenientFields& failure : fields.elements("failure-details")) {
    read.failures.push_back(read_failure(failure));
  }
  read_counts(fields, read);
  return read;
}

bool is_midnight(std::chrono::sys_seconds time) {
  return std::chrono::floor<std::chrono::days>(time) == time;
}

ReceivedReport read_fields(const LenientFields& fields) {
  ReceivedReport read;
  read.organization = fields.text("organization-name", Presence::required);
  const LenientFields range = fields.object("date-range");
  read.start = range.time("start-datetime");
  read.end = range.time("end-datetime");
  // RFC 8460 §4.4: the range's end is its last second, 23:59:59.
  if (read.start.at && read.end.at && *read.start.at < *read.end.at && is_midnight(*read.end.at)) {
    range.warn(WarningCode::end_next_midnight, "end-datetime", read.end.text);
  }
  read.contact = fields.text("contact-info", Presence::required);
  read.id = fields.text("report-id", Presence::required);
  if (!read.id.empty() && read.id.find('@') == std::string::npos) {
    fields.warn(WarningCode::id_without_at, "report-id", read.id);
  }
  if (!fields.has("policies")) {
    fields.warn(WarningCode::missing_field, "policies");
  }
  for (const LenientFields& policy : fields.elements("policies")) {
    read.policies.push_back(read_policy(policy));
  }
  return read;
}

/// Other JSON there is: a report has policies, or most of what stands beside them.
bool is_report(const nlohmann::json& json) {
  return json.is_object() &&
         (json.contains("policies") || (json.contains("date-range") && json.contains("report-id")));
}

Expected<Reading, ReadError> read_text(std::string_view text, const ReaderLimits& limits,
                                       Reading reading) {
  if (text.size() > limits.decompressed) {
    return read_error(ReadFault::too_large, "the JSON is larger than a report may be");
  }
  if (text.starts_with(kBom)) {
    reading.warnings.push_back({WarningCode::bom, "", ""});
    text.remove_prefix(kBom.size());
  }
  const auto repaired = repair_utf8(text);
  if (repaired) {
    reading.warnings.push_back({WarningCode::invalid_utf8, "", ""});
    text = *repaired;
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return read_error(ReadFault::empty, "there is nothing in it");
  }
  const auto json = parse_json(text, limits, reading.warnings);
  if (!json) {
    return Unexpected<ReadError>(json.error());
  }
  if (!is_report(*json)) {
    return read_error(ReadFault::not_a_report, "this JSON is no TLS report");
  }
  reading.report = read_fields(LenientFields(*json, "", reading.warnings));
  if (reading.warnings.size() > kMaxWarnings) {
    reading.warnings.resize(kMaxWarnings);
  }
  return reading;
}

}  // namespace

std::string_view name(WarningCode code) {
  return kWarningNames.at(static_cast<std::size_t>(code));
}

std::string_view name(ReadFault fault) {
  return kFaultNames.at(static_cast<std::size_t>(fault));
}

Expected<Reading, ReadError> read_report(std::string_view octets, const ReaderLimits& limits) {
  if (!is_gzip(octets)) {
    return read_text(octets, limits, {});
  }
  const auto unpacked = gunzip(octets, limits);
  if (!unpacked) {
    return Unexpected<ReadError>(unpacked.error());
  }
  Reading reading;
  // Mail clients put line ends after a part's octets.
  if (octets.find_first_not_of(std::string_view("\0\r\n", 3), unpacked->consumed) !=
      std::string_view::npos) {
    reading.warnings.push_back({WarningCode::trailing_data, "", "after the gzip data"});
  }
  return read_text(unpacked->octets, limits, std::move(reading));
}

}  // namespace rpt
