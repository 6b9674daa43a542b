// Collections of received reports for tests of their views.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "relay/cli/report_collection.h"
#include "relay/cli/report_input.h"
#include "tests/support/received_report.h"

namespace support {

/// Takes inputs, each a source and octets, apart and collects them.
inline relay::cli::ReportCollection collected(
    const std::vector<std::pair<std::string, std::string>>& inputs) {
  relay::cli::ReportCollection collection;
  const relay::cli::InputSink sink{
      [&](relay::cli::FoundReport found) { collection.add(std::move(found)); },
      [&](relay::cli::UnreadableInput input) { collection.add_unreadable(std::move(input)); },
      [&] { collection.add_other(); },
  };
  for (const auto& [source, octets] : inputs) {
    relay::cli::read_octets(source, octets, sink);
  }
  return collection;
}

inline relay::cli::ReportCollection all_samples() {
  std::vector<std::pair<std::string, std::string>> inputs;
  for (const char* const name :
       {"google.eml", "microsoft.json.gz", "mailru.json", "stalwart.json", "postfix.json"}) {
    inputs.emplace_back(name, sample_report(name));
  }
  return collected(inputs);
}

}  // namespace support
