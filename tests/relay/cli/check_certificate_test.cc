#include "relay/cli/check_certificate.h"

#include <chrono>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "tests/relay/cli/examined.h"

namespace {

using namespace support;
using std::chrono::days;
using std::chrono::hours;
using Fault = net::CertificateFaultKind;
using Severity = CheckFinding::Severity;

constexpr net::WallTime kNow = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1);

net::CertificateSummary leaf(std::chrono::milliseconds left) {
  return {{"mx1.example.com", "*.example.org"},
          "CN=mx1.example.com",
          "CN=Sub,O=Authority",
          kNow - days(60),
          kNow + left};
}

net::ChainSummary chain(std::chrono::milliseconds left) {
  return {leaf(left), {{}, "CN=Sub,O=Authority", "CN=Root", kNow - days(700), kNow + days(700)}};
}

net::TlsParameters shown(std::chrono::milliseconds left,
                         net::DaneMatch dane = net::DaneMatch::not_asked) {
  net::TlsParameters found = parameters(dane);
  found.chain = chain(left);
  return found;
}

/// example.com by this policy and outcome, on 2026-03-01.
Examination at_now(PolicyExamination policy, std::optional<net::TlsOutcome> outcome = {}) {
  Examination found = examined(std::move(policy), std::move(outcome));
  found.at = kNow;
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

TEST_CASE("days left are whole days, and the last two weeks are soon") {
  struct Row {
    std::chrono::milliseconds left;
    long days_left;
    bool soon;
    const char* text;
  };
  for (const Row& row : {
           Row{days(90), 90, false, "2025-12-31 to 2026-05-30, 90 days left"},
           Row{days(14), 14, false, "2025-12-31 to 2026-03-15, 14 days left"},
           Row{days(14) - hours(1), 13, true, "2025-12-31 to 2026-03-14, 13 days left"},
           Row{hours(30), 1, true, "2025-12-31 to 2026-03-02, 1 day left"},
           Row{hours(1), 0, true, "2025-12-31 to 2026-03-01, 0 days left"},
           Row{-hours(1), -1, false, "2025-12-31 to 2026-02-28, ended 1 day ago"},
           Row{-days(3), -3, false, "2025-12-31 to 2026-02-26, ended 3 days ago"},
       }) {
    CAPTURE(row.text);
    CHECK(days_left(leaf(row.left), kNow) == row.days_left);
    CHECK(expires_soon(leaf(row.left), kNow) == row.soon);
    CHECK(validity_text(leaf(row.left), kNow) == row.text);
  }
  net::CertificateSummary unreadable = leaf(days(1));
  unreadable.valid_until.reset();
  CHECK_FALSE(days_left(unreadable, kNow));
  CHECK_FALSE(expires_soon(unreadable, kNow));
  CHECK(validity_text(unreadable, kNow) == "2025-12-31 to ?");
  net::CertificateSummary early = leaf(days(90));
  early.valid_from = kNow + days(1);
  CHECK(validity_text(early, kNow) == "2026-03-02 to 2026-05-30, not valid yet");
}

TEST_CASE("a chain is shown in two lines, and what it names cannot hurt a terminal") {
  CHECK(certificate_line(chain(days(90)), kNow) ==
        "mx1.example.com, *.example.org; issued by CN=Sub,O=Authority; "
        "2025-12-31 to 2026-05-30, 90 days left");
  CHECK(issuers_line(chain(days(90))) == "CN=Sub,O=Authority until 2028-01-30");
  CHECK(certificate_line({}, kNow) == "none shown");
  CHECK(issuers_line({leaf(days(1))}).empty());
  net::CertificateSummary odd = leaf(days(90));
  odd.dns_names.assign(8, "a\x1b[2J.example");
  CHECK(names_text(odd).find('\x1b') == std::string::npos);
  CHECK(names_text(odd).ends_with(" and 2 more"));
  odd.dns_names.clear();
  CHECK(names_text(odd) == "no DNS name (subject CN=mx1.example.com)");
}

TEST_CASE("a host's certificate is shown with the session that showed it") {
  const auto report =
      report_on(at_now(policy_of(policy_text("enforce")), net::TlsVerified{shown(days(90))}));
  CHECK(
      to_text(report, Colour::none)
          .find("  192.0.2.1      TLSv1.3 TLS_AES_256_GCM_SHA384, certificate valid for the name\n"
                "  certificate    mx1.example.com, *.example.org; issued by CN=Sub,O=Authority; "
                "2025-12-31 to 2026-05-30, 90 days left\n"
                "  sent with it   CN=Sub,O=Authority until 2028-01-30\n"
                "  verdict        verified\n") != std::string::npos);
  const Json json = to_json(report)["hosts"][0]["sessions"][0]["tls"]["certificates"];
  REQUIRE(json.size() == 2);
  CHECK(json[0] == Json{{"names", {"mx1.example.com", "*.example.org"}},
                        {"subject", "CN=mx1.example.com"},
                        {"issuer", "CN=Sub,O=Authority"},
                        {"valid_from", "2025-12-31T00:00:00Z"},
                        {"valid_until", "2026-05-30T00:00:00Z"},
                        {"days_left", 90}});
  CHECK(json[1]["subject"] == "CN=Sub,O=Authority");
}

TEST_CASE("what a host staples is shown") {
  auto parameters = shown(days(90));
  parameters.staple = "out-of-date";
  const auto report =
      report_on(at_now(policy_of(policy_text("enforce")), net::TlsVerified{std::move(parameters)}));
  CHECK(to_text(report, Colour::none)
            .find(", certificate valid for the name, stapled status "
                  "out-of-date\n") != std::string::npos);
  CHECK(to_json(report)["hosts"][0]["sessions"][0]["tls"]["staple"] == "out-of-date");
}

TEST_CASE("a certificate that ends soon is a warning where it must be valid, else a note") {
  const net::TlsOutcome soon = net::TlsVerified{shown(days(5))};
  const auto weight = [](const Examination& found) {
    const auto findings = findings_of(found);
    const CheckFinding* const each = finding(findings, "certificate-expires");
    REQUIRE(each != nullptr);
    CHECK(each->text == "the certificate ends soon: 2025-12-31 to 2026-03-06, 5 days left");
    CHECK(each->where == "mx1.example.com [192.0.2.1]");
    CHECK_FALSE(each->remedy.empty());
    return name(each->severity);
  };
  CHECK(weight(at_now(policy_of(policy_text("enforce")), soon)) == "warning");
  CHECK(weight(at_now(policy_of(policy_text("testing")), soon)) == "warning");
  CHECK(weight(at_now({}, soon)) == "note");
  CHECK(weight(at_now(policy_of(policy_text("enforce")),
                      net::TlsVerified{shown(days(5), net::DaneMatch::matched)})) == "note");
  Examination ruled = at_now({}, soon);
  ruled.hosts.front().decision.requirement = smtp::TlsRequirement::verified();
  CHECK(weight(ruled) == "warning");
  for (const auto left : {days(15), -days(1)}) {
    const auto findings =
        findings_of(at_now(policy_of(policy_text("enforce")), net::TlsVerified{shown(left)}));
    CHECK(finding(findings, "certificate-expires") == nullptr);
  }
}

TEST_CASE("the finding about a faulty certificate says what the certificate says instead") {
  struct Row {
    Fault kind;
    const char* symbol;
    const char* code;
    const char* tail;
  };
  for (const Row& row : {
           Row{Fault::host_mismatch, "X509_V_ERR_HOSTNAME_MISMATCH", "certificate-host-mismatch",
               "; it names mx1.example.com, *.example.org"},
           Row{Fault::expired, "X509_V_ERR_CERT_HAS_EXPIRED", "certificate-expired",
               "; 2025-12-31 to 2026-02-26, ended 3 days ago"},
           Row{Fault::expired, "X509_V_ERR_CERT_HAS_EXPIRED@depth1", "certificate-expired", ""},
           Row{Fault::not_trusted, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
               "certificate-not-trusted", "; issued by CN=Sub,O=Authority"},
       }) {
    CAPTURE(row.symbol);
    const net::TlsOutcome outcome = net::TlsUnverified{shown(-days(3)), {{row.kind, row.symbol}}};
    const auto findings = findings_of(at_now(policy_of(policy_text("enforce")), outcome));
    const CheckFinding* const each = finding(findings, row.code);
    REQUIRE(each != nullptr);
    CHECK(each->severity == Severity::error);
    CHECK(each->text ==
          std::string("the certificate does not prove the host's name: ") + row.symbol + row.tail);
  }
  const auto remedied = [](const char* symbol) {
    const net::TlsOutcome outcome =
        net::TlsUnverified{shown(days(90)), {{Fault::not_trusted, symbol}}};
    const auto findings = findings_of(at_now(policy_of(policy_text("enforce")), outcome));
    return finding(findings, "certificate-not-trusted")->remedy;
  };
  CHECK(remedied("X509_V_ERR_CERT_NOT_YET_VALID") == remedy("certificate-not-yet-valid"));
  CHECK(remedied("X509_V_ERR_CERT_REVOKED") == remedy("certificate-revoked"));
  CHECK(remedied("X509_V_ERR_OCSP_VERIFY_NEEDED") == remedy("certificate-staple"));
}

TEST_CASE("the policy host's certificate is shown, and its faults say what it says") {
  PolicyExamination policy = policy_of(policy_text("enforce"));
  policy.peer = net::TlsPeerSummary{"TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", chain(days(5))};
  const auto report = report_on(at_now(policy));
  CHECK(to_text(report, Colour::none)
            .find("  fetch          HTTP 200 text/plain, certificate valid\n"
                  "  TLS            TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256\n"
                  "  certificate    mx1.example.com, *.example.org; issued by") !=
        std::string::npos);
  const Json json = to_json(report)["policy"]["tls"];
  CHECK(json["version"] == "TLSv1.2");
  CHECK(json["certificates"][0]["days_left"] == 5);
  const CheckFinding* const soon = finding(report.findings, "policy-certificate-expires");
  REQUIRE(soon != nullptr);
  CHECK(soon->severity == Severity::warning);
  CHECK(soon->text ==
        "the policy host's certificate ends soon: 2025-12-31 to 2026-03-06, 5 days left");
  CHECK_FALSE(soon->remedy.empty());

  PolicyExamination refused;
  refused.source = PolicyExamination::Source::https;
  refused.fetch = sts::HttpFailure{true, "X509_V_ERR_HOSTNAME_MISMATCH"};
  refused.fault = sts::DiscoveryFault{sts::DiscoveryFault::Kind::webpki_invalid,
                                      "X509_V_ERR_HOSTNAME_MISMATCH"};
  refused.peer = net::TlsPeerSummary{"TLSv1.3", "TLS_AES_256_GCM_SHA384", chain(-days(3))};
  const auto findings = findings_of(at_now(refused));
  REQUIRE(finding(findings, "policy-host-certificate") != nullptr);
  CHECK(finding(findings, "policy-host-certificate")->text ==
        "the policy host's certificate is not valid: X509_V_ERR_HOSTNAME_MISMATCH; it names "
        "mx1.example.com, *.example.org, 2025-12-31 to 2026-02-26, ended 3 days ago");
  CHECK(finding(findings, "policy-certificate-expires") == nullptr);
}

}  // namespace
