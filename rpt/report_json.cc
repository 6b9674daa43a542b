// RFC 8460 §4.4 in I-JSON (RFC 7493).
#include "rpt/report_json.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

#include "rpt/report.h"
#include "rpt/text.h"

namespace rpt {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kMaxInteger = (std::uint64_t{1} << 53U) - 1;  // RFC 7493 §2.2

// The character of several octets at the begin of text: its length, or 0 if there is none that
// RFC 7493 §2.1 allows (RFC 3629 §4; neither surrogates nor noncharacters).
std::size_t character_length(std::string_view text) {
  struct Form {
    std::uint32_t lead_bits, lead_mask, least;
  };
  constexpr std::array<Form, 3> kForms = {
      {{0xC0, 0x1F, 0x80}, {0xE0, 0x0F, 0x800}, {0xF0, 0x07, 0x10000}}};
  const auto octet = [&](std::size_t i) {
    return std::uint32_t{static_cast<std::uint8_t>(text[i])};
  };
  for (std::size_t extra = 1; extra <= kForms.size(); ++extra) {
    const Form& form = kForms.at(extra - 1);
    if ((octet(0) & ~form.lead_mask) != form.lead_bits || text.size() <= extra) {
      continue;
    }
    std::uint32_t point = octet(0) & form.lead_mask;
    for (std::size_t i = 1; i <= extra; ++i) {
      if ((octet(i) & 0xC0U) != 0x80U) {
        return 0;
      }
      point = (point << 6U) | (octet(i) & 0x3FU);
    }
    const bool allowed = point >= form.least && point <= 0x10FFFF &&
                         (point < 0xD800 || point > 0xDFFF) && (point < 0xFDD0 || point > 0xFDEF) &&
                         (point & 0xFFFEU) != 0xFFFE;
    return allowed ? extra + 1 : 0;
  }
  return 0;
}

std::string repaired(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string good;
  good.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = is_ascii(text.front()) ? 1 : character_length(text);
    good += length > 0 ? text.substr(0, length) : kReplacement;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return good;
}

Json repaired(const std::vector<std::string>& texts) {
  Json array = Json::array();
  for (const std::string& text : texts) {
    array.push_back(repaired(text));
  }
  return array;
}

Json integer(std::uint64_t count) {
  return std::min(count, kMaxInteger);
}

Json json_of(const CountedFailure& counted) {
  Json json = Json::object();
  const auto add_known = [&](const char* key, const std::string& text) {
    if (!text.empty()) {
      json[key] = repaired(text);
    }
  };
  const FailureDetail& failure = counted.failure;
  json["result-type"] = wire_name(failure.type);
  add_known("sending-mta-ip", failure.sending_mta_ip);
  add_known("receiving-mx-hostname", failure.receiving_mx_hostname);
  add_known("receiving-mx-helo", failure.receiving_mx_helo);
  add_known("receiving-ip", failure.receiving_ip);
  json["failed-session-count"] = integer(counted.sessions);
  add_known("failure-reason-code", failure.reason_code);
  return json;
}

Json json_of(const PolicySummary& summary) {
  Json details = Json::array();
  for (const CountedFailure& failure : summary.failures) {
    details.push_back(json_of(failure));
  }
  Json json = Json::object();
  json["policy"] = {{"policy-type", wire_name(summary.policy.type)},
                    {"policy-string", repaired(summary.policy.strings)},
                    {"policy-domain", repaired(summary.policy.domain)},
                    {"mx-host", repaired(summary.policy.mx_hosts)}};
  json["summary"] = {{"total-successful-session-count", integer(summary.successful_sessions)},
                     {"total-failure-session-count", integer(summary.failed_sessions)}};
  json["failure-details"] = std::move(details);
  return json;
}

}  // namespace

std::string to_json(const CountedFailure& failure) {
  return json_of(failure).dump();
}

std::string to_json(const PolicySummary& summary) {
  return json_of(summary).dump();
}

std::string to_json(const Report& report) {
  const std::string date = date_text(report.day, "-");
  Json json = Json::object();
  json["organization-name"] = repaired(report.organization);
  json["date-range"] = {{"start-datetime", date + "T00:00:00Z"},
                        {"end-datetime", date + "T23:59:59Z"}};
  json["contact-info"] = repaired(report.contact);
  json["report-id"] = repaired(report.id);
  Json& policies = json["policies"] = Json::array();
  for (const PolicySummary& summary : report.policies) {
    policies.push_back(json_of(summary));
  }
  return json.dump();
}

}  // namespace rpt
