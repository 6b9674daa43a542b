// A report about nobody, made, signed, read back and verified as its receiver would; nothing is
// sent. Pure: the keys' records come in.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "relay/cli/output.h"
#include "relay/cli/report_dkim.h"
#include "relay/reporting/report_settings.h"

namespace relay::cli {

struct SelfTest {
  std::string mail;  ///< as it would be sent
  std::string file_name;
  std::size_t octets = 0;  ///< of the JSON
  /// What a reader complains of; empty: nothing.
  std::vector<std::string> oddities;
  CarrierDkim dkim;
};

/// The mail and what a reader says of it; the signatures are not judged yet.
[[nodiscard]] SelfTest make_dummy(const reporting::ReportSettings& settings, net::WallTime now);
/// The records that the keys here would have in DNS.
[[nodiscard]] TextAnswers local_records(const reporting::ReportSettings& settings);
[[nodiscard]] std::set<std::string> key_names(const SelfTest& test);
/// keys: answers for key_names().
void verify(SelfTest& test, const reporting::ReportSettings& settings, const TextAnswers& keys);

[[nodiscard]] std::string to_text(const SelfTest& test);
[[nodiscard]] Json to_json(const SelfTest& test);
/// As check_exit_code(): refused, if receivers would ignore the report.
[[nodiscard]] int exit_code(const SelfTest& test);

}  // namespace relay::cli
