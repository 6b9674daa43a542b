// Where received reports come from: JSON, gzip, mail, mbox, Maildir, zip, folders of these,
// standard input. Each report found is handed on as octets with what is known about it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "relay/cli/report_dkim.h"
#include "relay/net/expected.h"
#include "rpt/report_reader.h"

namespace relay::cli {

/// What may be a report.
struct FoundReport {
  std::string source;  ///< "google.eml", "reports.zip: a.json.gz", "inbox: message 3"
  std::string octets;
  rpt::ReportMetadata metadata;
  ReportCarrier carrier{};
};

struct UnreadableInput {
  std::string source;
  std::string code;  ///< a stable word: "no-report", "cannot-open", or a rpt::ReadFault's name
  std::string reason;
};

/// Who is told.
struct InputSink {
  std::function<void(FoundReport)> report;
  std::function<void(UnreadableInput)> unreadable;
  /// A message of a mailbox, or a file of a folder, that holds no report.
  std::function<void()> other;
};

/// What octets seem to be.
enum class InputKind { report, zip, mbox, mail };
[[nodiscard]] InputKind input_kind(std::string_view octets);

/// path: a file, or "-" for standard input. The error continues a sentence: "it cannot be read".
[[nodiscard]] Expected<std::string, std::string> file_octets(const std::string& path);

/// path: a file, a Maildir or other folder, or "-" for standard input.
void read_input(const std::string& path, const InputSink& sink);
/// source: how messages call it; its last component is taken for the file's name.
void read_octets(const std::string& source, std::string octets, const InputSink& sink);

}  // namespace relay::cli
