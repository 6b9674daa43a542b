#include <fmt/format.h>

#include "relay/cli/check_certificate.h"
#include "relay/cli/check_report.h"
#include "relay/cli/check_rule.h"
#include "sts/record.h"

namespace relay::cli {
namespace {

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json records_json(const TextRecords& records) {
  return {{"answer", name(records.answer)},
          {"texts", records.texts},
          {"failure", text_or_null(records.failure)}};
}

Json sts_record_json(const TextRecords& records) {
  Json json = records_json(records);
  const auto parsed = sts::parse_records(records.texts);
  json["id"] = parsed ? Json(parsed->id) : Json(nullptr);
  const bool asked = records.answer == Answer::found || records.answer == Answer::absent;
  json["fault"] = asked && !parsed ? Json(sts::name(parsed.error())) : Json(nullptr);
  return json;
}

Json report_record_json(const TextRecords& records) {
  Json json = records_json(records);
  const auto parsed = report_record(records);
  const bool asked = records.answer == Answer::found || records.answer == Answer::absent;
  json["fault"] = asked && !parsed ? Json(rpt::name(parsed.error())) : Json(nullptr);
  json["destinations"] = Json::array();
  json["skipped"] = Json::array();
  if (parsed) {
    for (const rpt::Destination& each : parsed->destinations) {
      json["destinations"].push_back(each.uri);
    }
    for (const rpt::SkippedUri& each : parsed->skipped) {
      json["skipped"].push_back({{"uri", each.uri}, {"reason", each.reason}});
    }
  }
  return json;
}

Json mx_json(const MxExamination& mx) {
  Json hosts = Json::array();
  for (const delivery::MxHost& host : mx.hosts) {
    hosts.push_back({{"preference", host.preference},
                     {"host", host.name.text()},
                     {"implicit", host.source == delivery::MxHost::Source::implicit}});
  }
  return {{"answer", name(mx.answer)},
          {"dnssec", name(mx.origin)},
          {"hosts", std::move(hosts)},
          {"fault", mx.undeliverable ? Json(mx.undeliverable->reason) : Json(nullptr)}};
}

std::string_view source_name(PolicyExamination::Source source) {
  switch (source) {
    case PolicyExamination::Source::none:
      return "none";
    case PolicyExamination::Source::https:
      return "https";
    case PolicyExamination::Source::file:
      return "file";
  }
  return {};
}

Json fetch_json(const std::optional<sts::FetchResult>& fetch) {
  if (!fetch) {
    return nullptr;
  }
  if (const auto* answer = std::get_if<sts::HttpAnswer>(&*fetch)) {
    return {{"status", answer->status},
            {"content_type", answer->content_type},
            {"certificate", "valid"},
            {"failure", nullptr}};
  }
  const auto& failure = std::get<sts::HttpFailure>(*fetch);
  return {{"status", nullptr},
          {"content_type", nullptr},
          {"certificate", failure.certificate ? Json("invalid") : Json(nullptr)},
          {"failure", failure.reason}};
}

Json peer_json(const std::optional<net::TlsPeerSummary>& peer, net::WallTime now) {
  if (!peer) {
    return nullptr;
  }
  return {{"version", peer->version},
          {"cipher", peer->cipher},
          {"certificates", chain_json(peer->chain, now)}};
}

Json policy_json(const PolicyExamination& examination, net::WallTime now) {
  Json diagnostics = Json::array();
  for (const Lint& each : examination.lint) {
    diagnostics.push_back({{"line", each.line},
                           {"code", each.code},
                           {"weight", name(each.weight)},
                           {"message", each.message},
                           {"remedy", remedy(each.code)}});
  }
  Json patterns = Json::array();
  const sts::CachedPolicy* policy = examination.policy.get();
  if (policy != nullptr) {
    for (const sts::MxPattern& pattern : policy->policy.mx) {
      patterns.push_back(pattern.text());
    }
  }
  return {{"source", source_name(examination.source)},
          {"where", text_or_null(examination.where)},
          {"fetch", fetch_json(examination.fetch)},
          {"tls", peer_json(examination.peer, now)},
          {"fault", examination.fault ? Json(examination.fault->reason) : Json(nullptr)},
          {"mode", policy == nullptr ? Json(nullptr) : Json(sts::name(policy->policy.mode))},
          {"max_age", policy == nullptr ? Json(nullptr) : Json(policy->policy.max_age.count())},
          {"mx", std::move(patterns)},
          {"lines", body_lines(examination.body)},
          {"lint", std::move(diagnostics)}};
}

Json faults_json(const std::vector<net::CertificateFault>& faults) {
  Json json = Json::array();
  for (const net::CertificateFault& fault : faults) {
    json.push_back(fault.code);
  }
  return json;
}

Json tls_json(const std::optional<net::TlsOutcome>& tls, net::WallTime now) {
  if (!tls) {
    return nullptr;
  }
  Json json{{"state", "established"},
            {"reason", nullptr},
            {"version", nullptr},
            {"cipher", nullptr},
            {"verified", false},
            {"faults", Json::array()},
            {"dane", "not-asked"},
            {"dane_faults", Json::array()},
            {"certificate_sha256", nullptr},
            {"key_sha256", nullptr},
            {"staple", nullptr},
            {"certificates", Json::array()}};
  if (const auto* none = std::get_if<net::TlsNotOffered>(&*tls)) {
    json["state"] = "not-offered";
    json["reason"] = none->reason;
  } else if (const auto* failed = std::get_if<net::TlsFailed>(&*tls)) {
    json["state"] = "failed";
    json["reason"] = failed->reason;
  }
  if (const net::TlsParameters* parameters = parameters_of(tls)) {
    json["version"] = parameters->version;
    json["cipher"] = parameters->cipher;
    json["verified"] = std::holds_alternative<net::TlsVerified>(*tls);
    json["dane"] = name(parameters->dane);
    json["dane_faults"] = faults_json(parameters->dane_faults);
    json["certificate_sha256"] = text_or_null(parameters->certificate_sha256);
    json["key_sha256"] = text_or_null(parameters->key_sha256);
    json["staple"] = text_or_null(parameters->staple);
    json["certificates"] = chain_json(parameters->chain, now);
  }
  if (const auto* unverified = std::get_if<net::TlsUnverified>(&*tls)) {
    json["faults"] = faults_json(unverified->faults);
  }
  return json;
}

Json session_json(const HostExamination& host, const HostSession& session, net::WallTime now) {
  return {{"address", session.address.ip()},
          {"fate", name(fate_of(host, session))},
          {"server_name", text_or_null(session.server_name)},
          {"connect_failure", text_or_null(session.connect_failure)},
          {"tls", tls_json(session.tls, now)},
          {"end", session.end ? text_or_null(session.end->detail) : Json(nullptr)}};
}

Json coverage_json(delivery::Coverage coverage) {
  switch (coverage) {
    case delivery::Coverage::no_policy:
      return nullptr;
    case delivery::Coverage::covered:
      return true;
    case delivery::Coverage::uncovered:
      return false;
  }
  return nullptr;
}

Json host_json(const HostExamination& host, net::WallTime now) {
  Json addresses = Json::array();
  for (const net::SocketAddress& address : host.addresses.usable) {
    addresses.push_back(address.ip());
  }
  Json sessions = Json::array();
  for (const HostSession& session : host.sessions) {
    sessions.push_back(session_json(host, session, now));
  }
  const auto& requirement = host.decision.requirement;
  return {{"host", host.host.name.text()},
          {"preference", host.host.preference},
          {"listed", coverage_json(host.decision.coverage)},
          {"addresses", std::move(addresses)},
          {"address_fault", text_or_null(host.addresses.reason)},
          {"tlsa",
           {{"state", host.dane ? Json(name(host.dane->state)) : Json(nullptr)},
            {"base_domain", host.dane ? text_or_null(host.dane->base_domain) : Json(nullptr)},
            {"records", host.dane ? Json(host.dane->records) : Json::array()},
            {"failure", host.dane ? text_or_null(host.dane->failure) : Json(nullptr)}}},
          {"requirement", requirement ? Json(requirement->name()) : Json(nullptr)},
          {"refusal", delivery::name(host.decision.refusal)},
          {"would_refuse", text_or_null(unenforced_refusal(host))},
          {"explanation", host.explanation},
          {"sessions", std::move(sessions)},
          {"fate", name(fate_of(host))}};
}

Json results_json(const std::vector<rpt::SessionResult>& results) {
  Json json = Json::array();
  for (const rpt::SessionResult& session : results) {
    for (const rpt::PolicyResult& result : session.policies) {
      Json failures = Json::array();
      for (const rpt::FailureDetail& failure : result.failures) {
        failures.push_back({{"result_type", rpt::wire_name(failure.type)},
                            {"reason_code", text_or_null(failure.reason_code)},
                            {"mx", text_or_null(failure.receiving_mx_hostname)},
                            {"ip", text_or_null(failure.receiving_ip)}});
      }
      json.push_back({{"policy_type", rpt::wire_name(result.policy.type)},
                      {"policy_domain", result.policy.domain},
                      {"success", result.failures.empty()},
                      {"failures", std::move(failures)}});
    }
  }
  return json;
}

Json findings_json(const std::vector<CheckFinding>& findings) {
  Json json = Json::array();
  for (const CheckFinding& finding : findings) {
    json.push_back({{"severity", name(finding.severity)},
                    {"code", finding.code},
                    {"where", finding.where},
                    {"text", finding.text},
                    {"remedy", finding.remedy}});
  }
  return json;
}

Json daemon_json(const DaemonCache& cache) {
  return {{"state", name(cache.state)},
          {"detail", text_or_null(cache.detail)},
          {"mode", text_or_null(cache.mode)},
          {"id", text_or_null(cache.id)},
          {"fetched_at", text_or_null(cache.fetched_at)},
          {"expires_at", text_or_null(cache.expires_at)}};
}

}  // namespace

std::string_view name(delivery::MxOrigin origin) {
  switch (origin) {
    case delivery::MxOrigin::insecure:
      return "insecure";
    case delivery::MxOrigin::secure:
      return "secure";
    case delivery::MxOrigin::route:
      return "route";
  }
  return {};
}

std::string_view name(delivery::HostDane::State state) {
  using State = delivery::HostDane::State;
  switch (state) {
    case State::absent:
      return "absent";
    case State::denied:
      return "denied";
    case State::usable:
      return "usable";
    case State::unusable:
      return "unusable";
    case State::lookup_failed:
      return "lookup-failed";
  }
  return {};
}

std::string_view name(net::DaneMatch match) {
  switch (match) {
    case net::DaneMatch::not_asked:
      return "not-asked";
    case net::DaneMatch::matched:
      return "matched";
    case net::DaneMatch::no_match:
      return "no-match";
    case net::DaneMatch::chain_faults:
      return "chain-faults";
  }
  return {};
}

CheckReport report_on(Examination examination) {
  CheckReport report;
  report.outcome = outcome_of(examination);
  report.findings = findings_of(examination);
  report.results = results_of(examination);
  report.examination = std::move(examination);
  return report;
}

Json to_json(const CheckReport& report) {
  const Examination& found = report.examination;
  Json hosts = Json::array();
  for (const HostExamination& host : found.hosts) {
    hosts.push_back(host_json(host, found.at));
  }
  return {{"domain", text_or_null(found.recipient_domain)},
          {"policy_domain", text_or_null(found.domain)},
          {"verdict", name(report.outcome.verdict)},
          {"rule", text_or_null(report.outcome.rule)},
          {"host", text_or_null(report.outcome.host)},
          {"text", report.outcome.text},
          {"exit_code", check_exit_code(report.outcome, report.findings)},
          {"mx", mx_json(found.mx)},
          {"sts_record", sts_record_json(found.sts_record)},
          {"policy", policy_json(found.policy, found.at)},
          {"local_rule", rule_json(found.rule.get())},
          {"hosts", std::move(hosts)},
          {"tls_rpt_record", report_record_json(found.tls_rpt_record)},
          {"tls_rpt_results", results_json(report.results)},
          {"daemon", daemon_json(found.daemon)},
          {"findings", findings_json(report.findings)}};
}

}  // namespace relay::cli
