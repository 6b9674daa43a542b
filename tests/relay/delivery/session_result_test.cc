#include "relay/delivery/session_result.h"

#include <cstdio>
#include <map>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "rpt/report.h"
#include "rpt/tally.h"

namespace {

using relay::delivery::DaneEvaluation;
using relay::delivery::session_result;
using relay::delivery::SessionFacts;
namespace net = relay::net;

// --- The golden cases: events in, the JSON of a report out -----------------------

net::WallTime parse_time(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, offset_hours = 0, used = 0;
  double second = 0;
  REQUIRE(std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%lf%n", &year, &month, &day, &hour, &minute,
                      &second, &used) == 6);
  (void)std::sscanf(text.c_str() + used, "%d", &offset_hours);  // "+02:00"; nothing for "Z"
  const std::chrono::sys_days date{std::chrono::year{year} /
                                   std::chrono::month(static_cast<unsigned>(month)) /
                                   std::chrono::day(static_cast<unsigned>(day))};
  return date + std::chrono::hours{hour - offset_hours} + std::chrono::minutes{minute} +
         std::chrono::milliseconds{static_cast<int>(second * 1000)};
}

std::shared_ptr<const sts::CachedPolicy> policy_of(const YAML::Node& sts) {
  std::string body;
  for (const auto& line : sts["lines"].as<std::vector<std::string>>()) {
    body += line + "\r\n";
  }
  auto parsed = sts::parse_policy(body, sts::Strictness::strict);
  REQUIRE(parsed.policy);
  sts::CachedPolicy cached;
  cached.policy = *parsed.policy;
  return std::make_shared<const sts::CachedPolicy>(cached);
}

sts::DiscoveryFault fault_of(const YAML::Node& sts) {
  static const std::map<std::string, sts::DiscoveryFault::Kind> kKinds = {
      {"fetch", sts::DiscoveryFault::Kind::fetch_error},
      {"invalid", sts::DiscoveryFault::Kind::policy_invalid},
      {"webpki", sts::DiscoveryFault::Kind::webpki_invalid}};
  return {kKinds.at(sts["error"].as<std::string>()), sts["reason"].as<std::string>()};
}

net::CertificateFault chain_fault(const std::string& symbol) {
  return {symbol == "X509_V_ERR_CERT_HAS_EXPIRED" ? net::CertificateFaultKind::expired
                                                  : net::CertificateFaultKind::not_trusted,
          symbol};
}

net::TlsOutcome tls_of(const YAML::Node& event) {
  const auto starttls = event["starttls"].as<std::string>("ok");
  if (starttls != "ok") {
    return net::TlsNotOffered{starttls == "missing" ? "not-advertised"
                                                    : "starttls-reply-" + starttls};
  }
  if (event["tls"].IsDefined() && event["tls"].IsMap()) {
    return net::TlsFailed{event["tls"]["io"] ? "handshake-" + event["tls"]["io"].as<std::string>()
                                             : event["tls"]["alert"].as<std::string>()};
  }
  net::TlsUnverified unverified;
  if (const auto chain = event["chain"].as<std::string>("ok"); chain != "ok") {
    unverified.faults.push_back(chain_fault(chain));
  }
  if (event["name"].as<std::string>("match") == "mismatch" ||
      event["dane"].as<std::string>("match") == "name-mismatch") {
    unverified.faults.push_back(
        {net::CertificateFaultKind::host_mismatch, "X509_V_ERR_HOSTNAME_MISMATCH"});
  }
  if (unverified.faults.empty()) {
    return net::TlsVerified{};
  }
  return unverified;
}

std::optional<DaneEvaluation> dane_of(const YAML::Node& event, const std::string& mx_host) {
  const YAML::Node& tlsa = event["tlsa"];
  if (!tlsa.IsDefined()) {
    return event["require_dane"].as<bool>(false)
               ? std::optional{DaneEvaluation{
                     DaneEvaluation::Verdict::required_but_absent, mx_host, {}}}
               : std::nullopt;
  }
  DaneEvaluation dane;
  dane.base_domain = tlsa["base"].as<std::string>(mx_host);
  dane.records = tlsa["rrs"].as<std::vector<std::string>>(std::vector<std::string>{});
  if (tlsa["error"]) {
    dane.verdict = DaneEvaluation::Verdict::lookup_failed;
  } else if (!tlsa["usable"].as<bool>(true)) {
    dane.verdict = DaneEvaluation::Verdict::no_usable_record;
  } else if (event["dane"].as<std::string>("match") == "mismatch") {
    dane.verdict = DaneEvaluation::Verdict::no_match;
  } else if (!tlsa["ee"].as<bool>(true)) {
    dane.verdict = DaneEvaluation::Verdict::chain_faults;
  }
  return dane;
}

SessionFacts facts_of(const YAML::Node& event) {
  SessionFacts facts;
  facts.report_domain = event["domain"].as<std::string>("rcpt.example");
  facts.ended_at = parse_time(event["at"].as<std::string>("2026-08-20T12:00:00Z"));
  facts.mx_host = event["mx"].as<std::string>("mx1.rcpt.example");
  facts.sending_ip = event["from"].as<std::string>("192.0.2.1");
  facts.receiving_ip = event["ip"].as<std::string>("203.0.113.10");
  facts.server_name = event["helo"].as<std::string>("mx1.rcpt.example");
  if (event["report_mail"].as<bool>(false)) {
    facts.carried = SessionFacts::Carried::report;
  }
  if (event["reuse"].as<bool>(false)) {
    facts.connection = SessionFacts::Connection::reused;
  }
  if (event["plain_retry"].as<bool>(false)) {
    facts.connection = SessionFacts::Connection::plaintext_retry;
  }
  facts.dane = dane_of(event, facts.mx_host);
  const YAML::Node& sts = event["sts"];
  const bool judged_by_sts = !facts.dane ||
                             facts.dane->verdict == DaneEvaluation::Verdict::no_usable_record ||
                             event["sts_evaluated"].as<bool>(false);
  if (sts.IsDefined() && sts.IsMap() && judged_by_sts) {
    if (sts["error"]) {
      facts.policy_fault = fault_of(sts);
    }
    if (const YAML::Node& source = sts["error"] ? sts["cached"] : sts; source.IsDefined()) {
      facts.policy = policy_of(source);
    }
  }
  const auto decision =
      relay::delivery::decide({.policy = facts.policy.get()}, nullptr, facts.mx_host);
  facts.coverage = decision.coverage;
  if (decision.requirement && event["connect"].as<std::string>("ok") == "ok") {
    facts.tls = tls_of(event);
  }
  return facts;
}

nlohmann::json json_of(const YAML::Node& node) {
  if (node.IsScalar()) {
    return node.Scalar();
  }
  auto json = node.IsMap() ? nlohmann::json::object() : nlohmann::json::array();
  for (const auto& child : node) {
    if (!node.IsMap()) {
      json.push_back(json_of(child));
    } else if (const auto key = child.first.as<std::string>(); key.ends_with("-count")) {
      json[key] = child.second.as<std::uint64_t>();
    } else {
      json[key] = json_of(child.second);
    }
  }
  return json;
}

// The whole report of a day as its reader finds it; with the report-id, which is checked elsewhere.
nlohmann::json expected_report(const YAML::Node& defaults, const std::string& day,
                               const YAML::Node& policies) {
  return {{"organization-name", defaults["organization-name"].as<std::string>()},
          {"date-range",
           {{"start-datetime", day + "T00:00:00Z"}, {"end-datetime", day + "T23:59:59Z"}}},
          {"contact-info", defaults["contact-info"].as<std::string>()},
          {"report-id", "id@" + defaults["submitter"].as<std::string>()},
          {"policies", json_of(policies)}};
}

using Days = std::map<std::chrono::sys_days, rpt::Tally>;

Days tallied(const YAML::Node& events) {
  Days days;
  for (const YAML::Node& event : events) {
    const auto result = session_result(facts_of(event));
    for (int n = event["n"].as<int>(1); result && n > 0; --n) {
      days[rpt::report_day(*result)].add(*result);
    }
  }
  return days;
}

void check_case(const YAML::Node& golden, const YAML::Node& defaults) {
  Days days = tallied(golden["events"]);
  const std::size_t details =
      golden["options"] ? golden["options"]["max-details-per-policy"].as<std::size_t>() : 1000;
  const auto check_day = [&](const std::string& day, const YAML::Node& expected) {
    rpt::Report report;
    report.organization = defaults["organization-name"].as<std::string>();
    report.contact = defaults["contact-info"].as<std::string>();
    report.id = "id@" + rpt::submitter(report);
    report.domain = golden["report-domain"].as<std::string>("rcpt.example");
    report.day = std::chrono::floor<std::chrono::days>(parse_time(day + "T00:00:00Z"));
    report.policies = rpt::summarize(days[report.day], report.domain, details);
    if (expected.IsNull()) {
      CHECK(report.policies.empty());
      return;
    }
    const std::string json = rpt::to_json(report);
    INFO(json);
    CHECK(nlohmann::json::parse(json) == expected_report(defaults, day, expected));
  };
  if (golden["expect"]) {
    check_day(defaults["day"].as<std::string>(), golden["expect"]);
  } else {
    for (const auto& day : golden["expect_by_day"]) {
      check_day(day.first.as<std::string>(), day.second);
    }
  }
}

// --- Single facts ----------------------------------------------------------------------------

std::shared_ptr<const sts::CachedPolicy> policy(const std::string& mode) {
  sts::CachedPolicy cached;
  cached.policy =
      *sts::parse_policy("version: STSv1\nmode: " + mode + "\nmx: *.rcpt.example\nmax_age: 86400\n",
                         sts::Strictness::strict)
           .policy;
  return std::make_shared<const sts::CachedPolicy>(cached);
}

SessionFacts facts(const std::string& mode, const std::string& mx_host = "mx1.rcpt.example") {
  SessionFacts made;
  made.report_domain = "rcpt.example";
  made.mx_host = mx_host;
  made.sending_ip = "192.0.2.1";
  made.receiving_ip = "203.0.113.10";
  made.server_name = mx_host;
  if (!mode.empty()) {
    made.policy = policy(mode);
  }
  made.coverage = relay::delivery::decide({.policy = made.policy.get()}, nullptr, mx_host).coverage;
  made.tls = net::TlsVerified{};
  return made;
}

const net::TlsOutcome kSelfSigned = net::TlsUnverified{
    {}, {{net::CertificateFaultKind::not_trusted, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"}}};

}  // namespace

TEST_CASE("the events of each golden case of group A become the report they must become") {
  static const YAML::Node file = YAML::LoadFile(STSRELAY_TEST_DATA "/tlsrpt-cases.yaml");
  for (const YAML::Node& golden : file["A"]) {
    const std::string title =
        golden["id"].as<std::string>() + ": " + golden["title"].as<std::string>();
    SUBCASE(title.c_str()) {
      check_case(golden, file["defaults"]);
    }
  }
}

TEST_CASE("a host outside an enforce policy fails once, with its name and without addresses") {
  SessionFacts refused = facts("enforce", "mx.other.example");
  refused.tls.reset();
  refused.sending_ip.clear();
  refused.receiving_ip.clear();
  const auto result = session_result(refused);
  REQUIRE(result);
  REQUIRE(result->policies.size() == 1);
  CHECK(result->policies[0].failures ==
        std::vector<rpt::FailureDetail>{{rpt::ResultType::validation_failure, "",
                                         "mx.other.example", "", "", "sts-mx-mismatch"}});
}

TEST_CASE("J08: a failed refresh is reported beside the cached policy, but for mode none") {
  for (const std::string mode : {"enforce", "testing"}) {
    SessionFacts cached = facts(mode);
    cached.policy_fault = {sts::DiscoveryFault::Kind::fetch_error, "http-503"};
    cached.tls = kSelfSigned;
    const auto result = session_result(cached);
    REQUIRE(result);
    REQUIRE(result->policies.size() == 1);
    CHECK(result->policies[0].policy.strings.size() == 4);
    REQUIRE(result->policies[0].failures.size() == 2);
    CHECK(result->policies[0].failures[0].type == rpt::ResultType::sts_policy_fetch_error);
    CHECK(result->policies[0].failures[0].reason_code == "http-503+cached");
    CHECK(result->policies[0].failures[1].type == rpt::ResultType::certificate_not_trusted);
  }
}

TEST_CASE("without a policy in force any TLS is a success and none is a failure") {
  struct Row {
    net::TlsOutcome tls;
    std::vector<std::string> reasons;
  };
  for (const std::string mode : {"", "none"}) {
    for (const auto& [tls, reasons] :
         {Row{net::TlsVerified{}, {}}, Row{kSelfSigned, {}},
          Row{net::TlsNotOffered{"not-advertised"}, {"not-advertised"}},
          Row{net::TlsFailed{"tls-alert-40"}, {"tls-alert-40"}}}) {
      SessionFacts free = facts(mode);
      free.tls = tls;
      const auto result = session_result(free);
      REQUIRE(result);
      REQUIRE(result->policies.size() == 1);
      CHECK(result->policies[0].policy.type == rpt::PolicyType::no_policy_found);
      std::vector<std::string> found;
      for (const auto& failure : result->policies[0].failures) {
        found.push_back(failure.reason_code);
      }
      CHECK(found == reasons);
    }
  }
}

TEST_CASE("a policy that could not be had is reported with what else went wrong") {
  SessionFacts unknown = facts("");
  unknown.policy_fault = {sts::DiscoveryFault::Kind::webpki_invalid, "X509_V_ERR_CERT_HAS_EXPIRED"};
  unknown.tls = net::TlsNotOffered{"not-advertised"};
  const auto result = session_result(unknown);
  REQUIRE(result);
  REQUIRE(result->policies.size() == 1);
  CHECK(result->policies[0].policy ==
        rpt::PolicyDescription{rpt::PolicyType::sts, {}, "rcpt.example", {}});
  REQUIRE(result->policies[0].failures.size() == 2);
  CHECK(result->policies[0].failures[0].type == rpt::ResultType::sts_webpki_invalid);
  CHECK(result->policies[0].failures[1].type == rpt::ResultType::starttls_not_supported);
}

TEST_CASE("a session of a covered or testing host that ended before TLS is not counted") {
  for (const std::string host : {"mx1.rcpt.example", "mx.other.example"}) {
    SessionFacts early = facts("testing", host);
    early.tls.reset();
    CHECK_FALSE(session_result(early));
  }
  SessionFacts early = facts("enforce");
  early.tls.reset();
  CHECK_FALSE(session_result(early));
}

TEST_CASE("a failed TLSA lookup counts for the host and leaves STS out") {
  SessionFacts failed = facts("enforce");
  failed.tls.reset();
  failed.dane = DaneEvaluation{DaneEvaluation::Verdict::lookup_failed, "mx1.rcpt.example", {}};
  const auto result = session_result(failed);
  REQUIRE(result);
  REQUIRE(result->policies.size() == 1);
  CHECK(result->policies[0].failures[0].type == rpt::ResultType::dnssec_invalid);
  CHECK(result->policies[0].failures[0].receiving_ip.empty());
}

TEST_CASE("a DANE mismatch is a validation failure with its own reason") {
  SessionFacts mismatch = facts("");
  mismatch.tls = kSelfSigned;
  mismatch.dane =
      DaneEvaluation{DaneEvaluation::Verdict::no_match, "mx1.rcpt.example", {"3 1 1 AA"}};
  const auto result = session_result(mismatch);
  REQUIRE(result);
  REQUIRE(result->policies.size() == 1);
  REQUIRE(result->policies[0].failures.size() == 1);
  CHECK(result->policies[0].failures[0].reason_code == "dane-no-match");
}
