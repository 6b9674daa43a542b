// A day's report for one policy domain (RFC 8460 §4.4, §5.1): JSON, gzip, names, and the same for
// a person to read. Pure; equal reports give equal octets, so that a resend is byte-identical.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rpt/tally.h"

namespace rpt {

struct Report {
  std::string organization;  ///< organization-name, UTF-8
  std::string contact;       ///< contact-info: one addr-spec; its domain is the submitter
  std::string id;            ///< report-id, "left@right", see report_id()
  std::string domain;        ///< the policy domain reported: A-labels, lower case
  std::chrono::sys_days day{};
  std::vector<PolicySummary> policies;  ///< see summarize()
};

/// The domain of contact-info, as TLS-Report-Submitter and the file name have it; empty if none.
[[nodiscard]] std::string submitter(const Report& report);

/// What makes a report another report.
struct ReportKey {
  std::string_view submitter;
  std::string_view domain;
  std::chrono::sys_days day{};
  std::span<const std::string> destinations;  ///< URIs; their order does not matter
  std::string_view part;                      ///< ASCII letters and digits, or empty
};
/// "20260820.<32 hex digits>@<submitter>": for equal keys the same id, on every machine.
[[nodiscard]] std::string report_id(const ReportKey& key);

/// What an operator keeps out of reports (RFC 8460 §8).
struct Redaction {
  bool sending_mta_ip = false;
  bool receiving_mx_helo = false;
  bool reason_text = false;  ///< failure-reason-code; "folded:N" stays, it is about the report
};
/// Leaves out what redaction names; details that became equal become one, their counts added.
void redact(Report& report, const Redaction& redaction);

/// RFC 8460 §5.2: receivers may stop at 10 MB.
inline constexpr std::size_t kMaxJson = 10'000'000;
/// Folds details, then policies, the least frequent first, until to_json() has at most max_size
/// octets; the counts still add up. max_size: at least 8 KiB plus the report's own names.
void limit_size(Report& report, std::size_t max_size = kMaxJson);

/// I-JSON in the order of RFC 8460 §4.4, compact, without a newline. What is unknown is left out;
/// what is no UTF-8 becomes U+FFFD.
[[nodiscard]] std::string to_json(const Report& report);

/// RFC 1952 with the best compression, and neither time, name nor system in its header.
[[nodiscard]] std::string gzip(std::string_view octets);

enum class Encoding { gzip, plain };
/// "application/tlsrpt+gzip" or "application/tlsrpt+json" (RFC 8460 §6.4, §6.5).
[[nodiscard]] std::string_view media_type(Encoding encoding);
/// The body of a report mail or POST.
[[nodiscard]] std::string encoded(std::string_view json, Encoding encoding);
/// RFC 8460 §5.1: "sender.example!rcpt.example!1787184000!1787270399!002.json.gz". part: ASCII
/// letters and digits, or empty for none.
[[nodiscard]] std::string file_name(const Report& report, Encoding encoding,
                                    std::string_view part = {});

/// The report in plain words: period, sessions, policies, failures by kind with the usual remedy.
/// ASCII lines of at most 78 characters, but for longer names, each ending in LF.
[[nodiscard]] std::string summary_text(const Report& report);

/// What a result type says in plain words, and what its owner usually does about it.
struct Explanation {
  std::string_view meaning;  ///< "The certificate had expired."
  std::string_view remedy;
};
[[nodiscard]] Explanation explain(ResultType type);

}  // namespace rpt
