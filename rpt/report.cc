#include "rpt/report.h"

#include <algorithm>

#include "rpt/hash.h"
#include "rpt/text.h"

namespace rpt {
namespace {

constexpr std::chrono::seconds kLastSecond = std::chrono::days{1} - std::chrono::seconds{1};

std::string unix_time(std::chrono::sys_seconds time) {
  return std::to_string(time.time_since_epoch().count());
}

}  // namespace

std::string submitter(const Report& report) {
  const auto at = report.contact.rfind('@');
  return at == std::string::npos ? std::string{} : report.contact.substr(at + 1);
}

std::string report_id(const ReportKey& key) {
  std::vector<std::string> destinations{key.destinations.begin(), key.destinations.end()};
  std::sort(destinations.begin(), destinations.end());
  StableHash hash;
  hash.add(key.submitter).add(key.domain).add(unix_time(key.day)).add(key.part);
  for (const std::string& destination : destinations) {
    hash.add(destination);
  }
  return date_text(key.day, "") + '.' + hash.hex() + '@' + std::string{key.submitter};
}

std::string_view media_type(Encoding encoding) {
  switch (encoding) {
    case Encoding::gzip:
      return "application/tlsrpt+gzip";
    case Encoding::plain:
      return "application/tlsrpt+json";
  }
  return "";
}

std::string encoded(std::string_view json, Encoding encoding) {
  switch (encoding) {
    case Encoding::gzip:
      return gzip(json);
    case Encoding::plain:
      return std::string{json};
  }
  return {};
}

std::string file_name(const Report& report, Encoding encoding, std::string_view part) {
  std::string name = submitter(report) + '!' + report.domain + '!' + unix_time(report.day) + '!' +
                     unix_time(report.day + kLastSecond);
  if (!part.empty()) {
    name += '!';
    name += part;
  }
  return name + (encoding == Encoding::gzip ? ".json.gz" : ".json");
}

}  // namespace rpt
