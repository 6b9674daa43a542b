// TXT record sets for rpt::parse_records, one record a line; each line is tried as a URI, too.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rpt/record.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

// Stands for a library for IDNA: something that is ASCII, and not always a name.
std::optional<std::string> to_ascii(std::string_view name) {
  if (name.size() > 60) {
    return std::nullopt;
  }
  std::string converted = "xn--";
  for (const char c : name) {
    converted.push_back(c >= 0 ? c : 'u');
  }
  return converted;
}

bool has_control(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; });
}

void check(const rpt::Destination& destination) {
  for (const std::string* text : {&destination.uri, &destination.mailbox, &destination.host,
                                  &destination.path, &destination.userinfo}) {
    require(!has_control(*text));
  }
  require(destination.uri.size() <= rpt::kMaxUri);
  require(destination.uri.find_first_of(" ,;!\"<>\\") == std::string::npos);
  if (destination.scheme == rpt::Scheme::mailto) {
    const auto at = destination.mailbox.rfind('@');
    require(at != std::string::npos && at > 0 && at <= 64);
    require(destination.host.empty() && destination.path.empty() && destination.userinfo.empty());
  } else {
    require(destination.mailbox.empty() && !destination.host.empty() && destination.port != 0);
    require(destination.host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") ==
            std::string::npos);
    require(destination.path.starts_with('/') && destination.path.find('#') == std::string::npos);
  }
  // Its own text says the same, without anything that knows of IDNA.
  require(rpt::parse_destination(rpt::uri_with_credentials(destination)) == destination);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> records(1);
  for (std::size_t i = 0; i < size; ++i) {
    if (data[i] == '\n') {
      records.emplace_back();
    } else {
      records.back().push_back(static_cast<char>(data[i]));
    }
  }
  for (const std::string& record : records) {
    if (const auto destination = rpt::parse_destination(record, to_ascii)) {
      check(*destination);
    }
  }
  const auto record = rpt::parse_records(records, to_ascii);
  if (!record) {
    return 0;
  }
  require(record->destinations.size() <= rpt::kMaxDestinations);
  require(record->skipped.size() <= rpt::kMaxSkipped);
  std::for_each(record->destinations.begin(), record->destinations.end(), check);
  for (const rpt::SkippedUri& skipped : record->skipped) {
    require(!has_control(skipped.uri) && skipped.uri.size() <= 200 && !skipped.reason.empty());
  }
  return 0;
}
