// What a report is about and whose it is, what else says so, and the report in one form.
#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "rpt/canonical.h"
#include "rpt/report_reader.h"
#include "rpt/text.h"

namespace rpt {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBlanks = " \t\r\n";

std::string trimmed_name(std::string_view name) {
  const auto begin = name.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) {
    return {};
  }
  return canonical_name(name.substr(begin, name.find_last_not_of(kBlanks) + 1 - begin));
}

/// "sender!domain!begin!end[!unique].json[.gz]" (RFC 8460 §5.1).
struct FileName {
  std::string sender, domain, begin, end;
};

std::optional<FileName> parse_file_name(std::string_view name) {
  name = name.substr(name.find_last_of("/\\") + 1);  // npos + 1 is 0
  for (const std::string_view suffix : {".gz", ".json"}) {
    if (name.ends_with(suffix)) {
      name.remove_suffix(suffix.size());
    }
  }
  std::vector<std::string> fields;
  while (fields.size() < 6) {
    const auto end = name.find('!');
    fields.emplace_back(name.substr(0, end));
    if (end == std::string_view::npos) {
      break;
    }
    name.remove_prefix(end + 1);
  }
  if (fields.size() < 4 || fields.size() > 5) {
    return std::nullopt;
  }
  return FileName{trimmed_name(fields[0]), trimmed_name(fields[1]), fields[2], fields[3]};
}

/// Is a moment of the report another than the file name's Unix time? One second more is the
/// midnight that some senders end at.
bool differs(const std::optional<std::chrono::sys_seconds>& time, const std::string& unix_time) {
  std::int64_t seconds = 0;
  const char* const end = unix_time.data() + unix_time.size();
  const auto [rest, error] = std::from_chars(unix_time.data(), end, seconds);
  if (!time || error != std::errc{} || rest != end) {
    return false;
  }
  const std::int64_t own = time->time_since_epoch().count();
  return own != seconds && own - 1 != seconds && own != seconds - 1;
}

std::string range_text(const ReceivedReport& report) {
  return report.start.text + "/" + report.end.text;
}

void put(Json& into, const char* key, const std::string& text) {
  if (!text.empty()) {
    into[key] = text;
  }
}

std::string time_text(const ReportTime& time) {
  if (!time.at) {
    return time.text;
  }
  const auto day = std::chrono::floor<std::chrono::days>(*time.at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(*time.at - day);
  const auto padded = [](auto number, std::size_t width) {
    const std::string digits = std::to_string(number);
    return std::string(width - std::min(width, digits.size()), '0') + digits;
  };
  return padded(static_cast<int>(date.year()), 4) + "-" +
         padded(static_cast<unsigned>(date.month()), 2) + "-" +
         padded(static_cast<unsigned>(date.day()), 2) + "T" + padded(clock.hours().count(), 2) +
         ":" + padded(clock.minutes().count(), 2) + ":" + padded(clock.seconds().count(), 2) + "Z";
}

Json json_of(const ReceivedFailure& failure) {
  Json json = Json::object();
  json["result-type"] = failure.type;
  put(json, "sending-mta-ip", failure.sending_mta_ip);
  put(json, "receiving-mx-hostname", failure.receiving_mx_hostname);
  put(json, "receiving-mx-helo", failure.receiving_mx_helo);
  put(json, "receiving-ip", failure.receiving_ip);
  json["failed-session-count"] = failure.sessions;
  put(json, "additional-information", failure.additional_information);
  put(json, "failure-reason-code", failure.reason_code);
  return json;
}

Json json_of(const ReceivedPolicy& policy) {
  Json failures = Json::array();
  for (const ReceivedFailure& failure : policy.failures) {
    failures.push_back(json_of(failure));
  }
  return {{"policy",
           {{"policy-type", policy.type},
            {"policy-string", policy.strings},
            {"policy-domain", policy.domain},
            {"mx-host", policy.mx_hosts}}},
          {"summary",
           {{"total-successful-session-count", policy.successful_sessions},
            {"total-failure-session-count", policy.failed_sessions}}},
          {"failure-details", std::move(failures)}};
}

}  // namespace

std::string report_domain(const ReceivedReport& report, const ReportMetadata& metadata) {
  for (const ReceivedPolicy& policy : report.policies) {
    const auto type = parse_policy_type(policy.type);
    if (type && *type != PolicyType::tlsa && !policy.domain.empty()) {
      return trimmed_name(policy.domain);
    }
  }
  if (!metadata.domain.empty()) {
    return trimmed_name(metadata.domain);
  }
  if (const auto name = parse_file_name(metadata.file_name)) {
    return name->domain;
  }
  for (const ReceivedPolicy& policy : report.policies) {
    if (!policy.domain.empty()) {
      return trimmed_name(policy.domain);
    }
  }
  return {};
}

std::string submitter(const ReceivedReport& report) {
  const auto at = report.contact.rfind('@');
  return at == std::string::npos ? lower(report.organization)
                                 : trimmed_name(report.contact.substr(at + 1));
}

void cross_check(Reading& reading, const ReportMetadata& metadata) {
  const auto expect = [&reading](const char* where, const std::string& said,
                                 const std::string& own) {
    if (!said.empty() && !own.empty() && said != own) {
      reading.warnings.push_back(
          {WarningCode::metadata_mismatch, where, said + "; the report says " + own});
    }
  };
  const std::string domain = report_domain(reading.report, metadata);
  const std::string sender =
      reading.report.contact.find('@') == std::string::npos ? "" : submitter(reading.report);
  expect("TLS-Report-Domain", trimmed_name(metadata.domain), domain);
  expect("TLS-Report-Submitter", trimmed_name(metadata.submitter), sender);
  if (const auto name = parse_file_name(metadata.file_name)) {
    expect("file name, submitter", name->sender, sender);
    expect("file name, domain", name->domain, domain);
    if (differs(reading.report.start.at, name->begin) ||
        differs(reading.report.end.at, name->end)) {
      expect("file name, date range", name->begin + "/" + name->end, range_text(reading.report));
    }
  }
}

std::string normalized_json(const ReceivedReport& report) {
  Json policies = Json::array();
  for (const ReceivedPolicy& policy : report.policies) {
    policies.push_back(json_of(policy));
  }
  const Json json = {
      {"organization-name", report.organization},
      {"date-range",
       {{"start-datetime", time_text(report.start)}, {"end-datetime", time_text(report.end)}}},
      {"contact-info", report.contact},
      {"report-id", report.id},
      {"policies", std::move(policies)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string identity(const ReceivedReport& report) {
  constexpr char kSeparator = '\0';
  const std::string whose = submitter(report) + kSeparator;
  return report.id.empty() ? whose + kSeparator + report_domain(report) + kSeparator +
                                 range_text(report) + kSeparator + normalized_json(report)
                           : whose + report.id;
}

}  // namespace rpt
