// Received TLS reports, JSON or gzip: whatever they hold, what is read can be written in the RFC's
// form, and that form reads as the same report.
#include "rpt/report_reader.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  auto reading = rpt::read_report(octets);
  if (!reading) {
    require(!rpt::name(reading.error().fault).empty() && !reading.error().reason.empty());
    return 0;
  }
  rpt::cross_check(*reading, {"rcpt.example", "sender.example", reading->report.id});
  const std::string json = rpt::normalized_json(reading->report);
  const auto again = rpt::read_report(json);
  require(again.has_value());
  require(rpt::normalized_json(again->report) == json);
  require(rpt::report_domain(again->report) == rpt::report_domain(reading->report));
  require(again->report.policies.size() == reading->report.policies.size());
  require(!rpt::identity(reading->report).empty());
  return 0;
}
