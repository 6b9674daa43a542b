#include "relay/cli/check_rule.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/cli/examined.h"

namespace {

using namespace support;
using delivery::LocalRule;
using Severity = CheckFinding::Severity;
using Verdict = CheckOutcome::Verdict;

constexpr net::WallTime kEnd = std::chrono::sys_days(std::chrono::year(2027) / 1 / 1);

LocalRule exemption(std::string origin) {
  LocalRule rule;
  rule.purpose = LocalRule::Purpose::exemption;
  rule.origin = std::move(origin);
  rule.until = kEnd;
  rule.reason = "ticket 123";
  return rule;
}

LocalRule pin(LocalRule::Effect effect = LocalRule::Effect::enforced) {
  LocalRule rule;
  rule.level = delivery::LocalLevel::verify;
  rule.mx = {*sts::MxPattern::parse("*.example.org")};
  rule.purpose = LocalRule::Purpose::pin;
  rule.origin = "override";
  rule.effect = effect;
  return rule;
}

LocalRule report_only() {
  LocalRule rule;
  rule.effect = LocalRule::Effect::report_only;
  rule.origin = "tls_policy.default";
  return rule;
}

Examination ruled(Examination found, LocalRule rule, const net::TlsOutcome& outcome) {
  found.rule = std::make_shared<const LocalRule>(std::move(rule));
  decide(found);
  set_session(found.hosts.front(), outcome);
  return found;
}

const CheckFinding* finding(const std::vector<CheckFinding>& findings, std::string_view code) {
  for (const CheckFinding& each : findings) {
    if (each.code == code) {
      return &each;
    }
  }
  return nullptr;
}

const net::TlsOutcome good_outcome = net::TlsVerified{parameters()};
const net::TlsOutcome expired_outcome =
    unverified(net::CertificateFaultKind::expired, "X509_V_ERR_CERT_HAS_EXPIRED");

TEST_CASE("a rule is told by who set it, what it asks for, until when and why") {
  CHECK(rule_source(pin()) == "an override");
  CHECK(rule_source(report_only()) == "the rule tls_policy.default");
  CHECK(rule_demand(pin(LocalRule::Effect::report_only)) ==
        "verify, only *.example.org, report-only");
  CHECK(rule_end(pin()).empty());
  CHECK(rule_end(exemption("override")) == ", until 2026-12-31 (ticket 123)");
  LocalRule fingerprints;
  fingerprints.level = delivery::LocalLevel::fingerprint;
  fingerprints.fingerprints = {"ab", "cd"};
  CHECK(rule_demand(fingerprints) == "fingerprint ab, cd");
}

TEST_CASE("the plain default is not worth a word, anything else is") {
  CHECK_FALSE(says_something(nullptr));
  LocalRule rule;
  CHECK_FALSE(says_something(&rule));
  rule.level = delivery::LocalLevel::encrypt;
  CHECK(says_something(&rule));
  const LocalRule waived = report_only();
  CHECK(says_something(&waived));
  const LocalRule exempt = exemption("override");
  CHECK(says_something(&exempt));
}

TEST_CASE("an exemption is a finding whoever set it, and what it lets through is delivered") {
  for (const std::string origin : {"override", "tls_policy.domains.example.com"}) {
    CAPTURE(origin);
    const auto found =
        ruled(examined(policy_of(policy_text("enforce"))), exemption(origin), expired_outcome);
    const auto report = report_on(found);
    CHECK(name(report.outcome.verdict) == "delivered");
    const CheckFinding* const each = finding(report.findings, "exempted");
    REQUIRE(each != nullptr);
    CHECK(each->severity == Severity::warning);
    CHECK(each->text == (origin == "override" ? "an override" : "the rule " + origin) +
                            " exempts the domain from every TLS policy (level opportunistic), "
                            "until 2026-12-31 (ticket 123)");
    CHECK_FALSE(each->remedy.empty());
    CHECK(finding(report.findings, "override") == nullptr);
    CHECK(check_exit_code(report.outcome, report.findings) == kCheckFindings);
  }
}

TEST_CASE("an override is a note, and refuses what it rules out") {
  const auto report = report_on(ruled(unprotected(), pin(), good_outcome));
  CHECK(name(report.outcome.verdict) == "refused");
  CHECK(report.outcome.rule == "mx-not-pinned");
  const CheckFinding* const each = finding(report.findings, "override");
  REQUIRE(each != nullptr);
  CHECK(each->severity == Severity::note);
  CHECK(each->text == "an override says verify, only *.example.org");
  CHECK_FALSE(each->remedy.empty());
  CHECK(to_text(report, Colour::none)
            .find("Local rule\n"
                  "  set by         override (`stsrelay policy override`)\n"
                  "  says           verify, only *.example.org\n") != std::string::npos);
  const Json json = to_json(report)["local_rule"];
  CHECK(json["origin"] == "override");
  CHECK(json["purpose"] == "pin");
  CHECK(json["mx"] == Json::array({"*.example.org"}));
  CHECK(json["until"].is_null());
}

TEST_CASE("report-only: what would have been refused is said, host by host") {
  struct Row {
    const char* name;
    Examination examination;
    LocalRule rule;
    const net::TlsOutcome& outcome;
    const char* refusal;
  };
  const std::vector<Row> rows = {
      {"certificate", examined(policy_of(policy_text("enforce"))), report_only(), expired_outcome,
       "verified-tls-not-met"},
      {"foreign MX", examined(policy_of(policy_text("enforce", "mx9.example.com"))), report_only(),
       good_outcome, "mx-not-in-policy"},
      {"pin", unprotected(), pin(LocalRule::Effect::report_only), good_outcome, "mx-not-pinned"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto report = report_on(ruled(row.examination, row.rule, row.outcome));
    CHECK(name(report.outcome.verdict) == "delivered");
    CHECK(report.outcome.text.ends_with(
        std::string("were report-only off, the host would be refused: ") + row.refusal + "."));
    CHECK(finding(report.findings, "report-only") != nullptr);
    const CheckFinding* const each = finding(report.findings, "would-refuse");
    REQUIRE(each != nullptr);
    CHECK(each->severity == Severity::warning);
    CHECK(each->where == "mx1.example.com");
    CHECK(each->text == std::string("would have been refused (") + row.refusal + "), but " +
                            rule_source(row.rule) + " is report-only");
    CHECK_FALSE(each->remedy.empty());
    CHECK(to_json(report)["hosts"][0]["would_refuse"] == row.refusal);
    CHECK(check_exit_code(report.outcome, report.findings) == kCheckFindings);
  }
}

TEST_CASE("report-only: what meets the policy is only noted") {
  const auto report =
      report_on(ruled(examined(policy_of(policy_text("enforce"))), report_only(), good_outcome));
  CHECK(finding(report.findings, "would-refuse") == nullptr);
  REQUIRE(finding(report.findings, "report-only") != nullptr);
  CHECK(finding(report.findings, "report-only")->severity == Severity::note);
  CHECK(to_json(report)["hosts"][0]["would_refuse"].is_null());
  CHECK(check_exit_code(report.outcome, report.findings) == kCheckGood);
}

TEST_CASE("report-only: without connecting, what the names alone rule out is said") {
  Examination found = ruled(examined(policy_of(policy_text("enforce", "mx9.example.com"))),
                            report_only(), good_outcome);
  found.connecting = Examination::Connecting::no;
  found.hosts.front().sessions.clear();
  CHECK(unenforced_refusal(found.hosts.front()) == "mx-not-in-policy");
}

}  // namespace
