// Reads a received TLS report, JSON or gzip of it (RFC 8460 §4.4, §5.2), as the senders of the
// field shape it: what can be understood is kept, what is amiss becomes a coded warning. Caps on
// size, ratio and depth hold against any input. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rpt/expected.h"
#include "rpt/received_report.h"

namespace rpt {

struct ReaderLimits {
  std::size_t compressed = std::size_t{10} << 20U;
  std::size_t decompressed = std::size_t{20} << 20U;
  /// Decompressed to compressed, once more than a MiB came out. Reports of many alike failures
  /// reach 60.
  std::size_t ratio = 250;
  std::size_t depth = 32;
  std::size_t values = 2'000'000;  ///< members and elements; 50,000 failures have 400,000
};

enum class ReadFault { empty, too_large, truncated, damaged, not_json, too_deep, not_a_report };
/// "too-large" …
[[nodiscard]] std::string_view name(ReadFault fault);

struct ReadError {
  ReadFault fault = ReadFault::empty;
  std::string reason;  ///< a sentence's beginning, for a person
};
inline Unexpected<ReadError> read_error(ReadFault fault, std::string reason) {
  return Unexpected<ReadError>({fault, std::move(reason)});
}

struct Reading {
  ReceivedReport report;
  std::vector<ReportWarning> warnings;
};

/// octets: what a file, a MIME part or an HTTP request held.
[[nodiscard]] Expected<Reading, ReadError> read_report(std::string_view octets,
                                                       const ReaderLimits& limits = {});

/// What came beside a report: header fields of its mail, the name of its file.
struct ReportMetadata {
  std::string domain;     ///< TLS-Report-Domain
  std::string submitter;  ///< TLS-Report-Submitter
  std::string file_name;
};

/// Warns of each word of metadata that the report contradicts; the report wins (RFC 8460 §5.6).
void cross_check(Reading& reading, const ReportMetadata& metadata);

/// The domain whose _smtp._tls record asked for the report: that of a policy of type sts or
/// no-policy-found, else that of the metadata (a tlsa policy's is the TLSA base domain, which may
/// be another), else any policy's. Lower case; empty if nothing names one.
[[nodiscard]] std::string report_domain(const ReceivedReport& report,
                                        const ReportMetadata& metadata = {});
/// The domain of contact-info in lower case, else the organization's name.
[[nodiscard]] std::string submitter(const ReceivedReport& report);
/// The report in the RFC's form, all fields in its order; equal for reports that say the same.
[[nodiscard]] std::string normalized_json(const ReceivedReport& report);
/// What two copies of one report have in common: submitter and report-id, else submitter, domain,
/// date range and content.
[[nodiscard]] std::string identity(const ReceivedReport& report);

}  // namespace rpt
