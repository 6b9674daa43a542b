#include "relay/reporting/destinations.h"

#include <optional>
#include <utility>
#include <variant>

#include "relay/net/domain_name.h"
#include "rpt/record.h"

namespace relay::reporting {
namespace {

std::optional<std::string> to_ascii(std::string_view name) {
  const auto parsed = net::DomainName::parse(name);
  return parsed ? std::optional(parsed->text()) : std::nullopt;
}

}  // namespace

rpt::RecordAnswer record_answer(const net::DnsResult& result) {
  if (std::holds_alternative<net::DnsFailure>(result)) {
    return rpt::LookupFailed{};
  }
  const auto* answer = std::get_if<net::DnsAnswer>(&result);
  const auto* texts =
      answer == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&answer->records);
  auto record =
      rpt::parse_records(texts == nullptr ? std::vector<std::string>{} : *texts, to_ascii);
  if (!record) {
    return record.error();
  }
  return std::move(*record);
}

std::vector<rpt::Destination> destinations_of(const std::vector<std::string>& uris) {
  std::vector<rpt::Destination> destinations;
  for (const std::string& uri : uris) {
    if (auto destination = rpt::parse_destination(uri, to_ascii)) {
      destinations.push_back(std::move(*destination));
    }
  }
  return destinations;
}

}  // namespace relay::reporting
