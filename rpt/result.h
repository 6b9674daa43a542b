// What TLS-RPT counts (RFC 8460 §4.3, §4.4): result types, policy descriptions, and the result of
// one SMTP session. Values; no I/O.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rpt {

/// RFC 8460 §4.3, IANA "STARTTLS Validation Result Types".
enum class ResultType {
  starttls_not_supported,
  certificate_host_mismatch,
  certificate_expired,
  certificate_not_trusted,
  validation_failure,
  tlsa_invalid,
  dnssec_invalid,
  dane_required,
  sts_policy_fetch_error,
  sts_policy_invalid,
  sts_webpki_invalid,
};
/// "starttls-not-supported" …
[[nodiscard]] std::string_view wire_name(ResultType type);
[[nodiscard]] std::optional<ResultType> parse_result_type(std::string_view wire_name);

/// RFC 8460 §4.4 policy-type.
enum class PolicyType { tlsa, sts, no_policy_found };
[[nodiscard]] std::string_view wire_name(PolicyType type);
[[nodiscard]] std::optional<PolicyType> parse_policy_type(std::string_view wire_name);

/// The policy that a session was judged by. Two with equal fields are one element of a report.
struct PolicyDescription {
  PolicyType type = PolicyType::no_policy_found;
  /// sts: the policy's lines as served; tlsa: "usage selector mtype HEX" per record.
  std::vector<std::string> strings;
  std::string domain;                 ///< A-labels, lower case, no trailing dot
  std::vector<std::string> mx_hosts;  ///< sts: the mx patterns
  // NOLINTNEXTLINE(modernize-use-nullptr): the zero is that of the generated comparison
  friend auto operator<=>(const PolicyDescription&, const PolicyDescription&) = default;
};

/// One failure of a session; unknown fields are empty and left out of reports.
struct FailureDetail {
  ResultType type = ResultType::validation_failure;
  std::string sending_mta_ip;
  std::string receiving_mx_hostname;
  std::string receiving_mx_helo;
  std::string receiving_ip;
  std::string reason_code;
  // NOLINTNEXTLINE(modernize-use-nullptr): the zero is that of the generated comparison
  friend auto operator<=>(const FailureDetail&, const FailureDetail&) = default;
};

/// The verdict of one evaluated policy on one session: a success if and only if no failure.
struct PolicyResult {
  PolicyDescription policy;
  std::vector<FailureDetail> failures;  ///< one per cause
};

/// One SMTP session on which TLS was, or should have been, negotiated. Made once, at its end.
struct SessionResult {
  std::string report_domain;  ///< whose _smtp._tls record decides: recipient domain or smarthost
  std::chrono::sys_seconds ended_at{};
  std::vector<PolicyResult> policies;  ///< each policy evaluated
};

}  // namespace rpt
