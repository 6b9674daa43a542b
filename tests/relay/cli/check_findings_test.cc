#include "relay/cli/check_findings.h"

#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/cli/examined.h"

namespace {

using namespace support;
using Kind = net::CertificateFaultKind;
using Verdict = CheckOutcome::Verdict;
using Severity = CheckFinding::Severity;

/// Codes of what is worse than a note.
std::set<std::string> faults(const Examination& examination) {
  std::set<std::string> codes;
  for (const CheckFinding& finding : findings_of(examination)) {
    if (finding.severity != Severity::note) {
      codes.insert(finding.code);
    }
  }
  return codes;
}

std::set<std::string> notes(const Examination& examination) {
  std::set<std::string> codes;
  for (const CheckFinding& finding : findings_of(examination)) {
    if (finding.severity == Severity::note) {
      codes.insert(finding.code);
    }
  }
  return codes;
}

int exit_code(const Examination& examination) {
  return check_exit_code(outcome_of(examination), findings_of(examination));
}

Examination with_policy(std::string_view mode, std::optional<net::TlsOutcome> outcome = {}) {
  return examined(policy_of(policy_text(mode)), std::move(outcome));
}

Examination with_body(const std::string& body) {
  return examined(policy_of(body));
}

Examination foreign(std::string_view mode) {
  return examined(policy_of(policy_text(mode, "mx9.example.com")));
}

Examination with_fetch(sts::DiscoveryFault::Kind kind, const std::string& reason) {
  PolicyExamination policy;
  policy.source = PolicyExamination::Source::https;
  policy.fetch = sts::HttpFailure{kind == sts::DiscoveryFault::Kind::webpki_invalid, reason};
  policy.fault = sts::DiscoveryFault{kind, reason};
  return examined(policy);
}

Examination with_end(delivery::Undeliverable end) {
  Examination found = unprotected();
  found.hosts.clear();
  found.mx.undeliverable = std::move(end);
  return found;
}

Examination with_address_problem(delivery::HostAddresses::Problem problem) {
  Examination found = with_policy("enforce");
  found.hosts.front().addresses = {{}, problem, "the host mx1.example.com has no address"};
  found.hosts.front().sessions.clear();
  return found;
}

Examination with_dane(delivery::HostDane::State state, net::DaneMatch match,
                      delivery::MxOrigin origin = delivery::MxOrigin::secure) {
  Examination found = unprotected();
  found.mx.origin = origin;
  delivery::HostDane dane;
  dane.state = state;
  dane.base_domain = "mx1.example.com";
  if (state == delivery::HostDane::State::usable) {
    dane.records = {"3 1 1 AB"};
    dane.expectation = std::make_shared<const net::DaneExpectation>(
        net::DaneExpectation{{{3, 1, 1, std::string(32, 'x')}}, {domain_name("mx1.example.com")}});
  }
  found.hosts.front().dane = dane;
  decide(found);
  set_session(found.hosts.front(),
              net::TlsUnverified{parameters(match),
                                 {{Kind::not_trusted, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"}}});
  return found;
}

Examination unreachable() {
  Examination found = with_policy("enforce");
  HostSession& session = found.hosts.front().sessions.front();
  session.connect_failure = "Connection refused";
  session.tls.reset();
  session.end.reset();
  return found;
}

Examination with_record(TextRecords records) {
  Examination found = unprotected();
  found.sts_record = std::move(records);
  return found;
}

Examination not_connected(Examination found) {
  found.connecting = Examination::Connecting::no;
  for (HostExamination& host : found.hosts) {
    host.sessions.clear();
  }
  return found;
}

struct Row {
  std::string name;
  Examination examination;
  Verdict verdict;
  std::set<std::string> faults;
  int exit_code;
};

void check_rows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(name(outcome_of(row.examination).verdict) == name(row.verdict));
    CHECK(faults(row.examination) == row.faults);
    CHECK(exit_code(row.examination) == row.exit_code);
  }
}

TEST_CASE("each fault of a host's TLS has its finding, verdict and exit code") {
  const auto expired = unverified(Kind::expired, "X509_V_ERR_CERT_HAS_EXPIRED");
  const auto misnamed = unverified(Kind::host_mismatch, "X509_V_ERR_HOSTNAME_MISMATCH");
  const auto stranger =
      unverified(Kind::not_trusted, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
  const net::TlsOutcome missing = net::TlsNotOffered{"not-advertised"};
  const net::TlsOutcome refused = net::TlsNotOffered{"starttls-reply-454"};
  const net::TlsOutcome failed = net::TlsFailed{"tls-alert-40"};
  check_rows({
      {"good", with_policy("enforce"), Verdict::delivered_verified, {}, 0},
      {"testing, good", with_policy("testing"), Verdict::delivered, {}, 0},
      {"expired", with_policy("enforce", expired), Verdict::refused, {"certificate-expired"}, 2},
      {"misnamed",
       with_policy("enforce", misnamed),
       Verdict::refused,
       {"certificate-host-mismatch"},
       2},
      {"stranger",
       with_policy("enforce", stranger),
       Verdict::refused,
       {"certificate-not-trusted"},
       2},
      {"no STARTTLS", with_policy("enforce", missing), Verdict::refused, {"starttls-missing"}, 2},
      {"454", with_policy("enforce", refused), Verdict::refused, {"starttls-refused"}, 2},
      {"alert", with_policy("enforce", failed), Verdict::refused, {"tls-handshake-failed"}, 2},
      {"testing, expired",
       with_policy("testing", expired),
       Verdict::delivered,
       {"certificate-expired"},
       1},
      {"testing, no STARTTLS",
       with_policy("testing", missing),
       Verdict::delivered,
       {"starttls-missing"},
       1},
      {"no policy, expired", unprotected(expired), Verdict::delivered, {"no-protection"}, 1},
      {"no policy, alert: plaintext",
       unprotected(failed),
       Verdict::delivered,
       {"no-protection", "tls-handshake-failed"},
       1},
      {"unreachable", unreachable(), Verdict::undetermined, {"connect-failed"}, 3},
      {"foreign MX", foreign("enforce"), Verdict::refused, {"mx-not-in-policy"}, 2},
      {"foreign MX, testing", foreign("testing"), Verdict::delivered, {"mx-not-in-policy"}, 1},
  });
}

TEST_CASE("each fault of record, policy and DNS has its finding, verdict and exit code") {
  using Fault = sts::DiscoveryFault::Kind;
  using End = delivery::Undeliverable::Kind;
  using Problem = delivery::HostAddresses::Problem;
  check_rows({
      {"mode none", with_policy("none"), Verdict::delivered, {"mode-none"}, 1},
      {"nothing published", unprotected(), Verdict::delivered, {"no-protection"}, 1},
      {"several records",
       with_record({Answer::found, {"v=STSv1; id=1;", "v=STSv1; id=2;"}, {}}),
       Verdict::delivered,
       {"record-several", "no-protection"},
       1},
      {"malformed record",
       with_record({Answer::found, {"v=STSv1; id=a-b;"}, {}}),
       Verdict::delivered,
       {"record-malformed", "no-protection"},
       1},
      {"record SERVFAIL",
       with_record({Answer::failed, {}, "SERVFAIL"}),
       Verdict::delivered,
       {"record-lookup-failed", "no-protection"},
       1},
      {"404",
       with_fetch(Fault::fetch_error, "http-404"),
       Verdict::delivered,
       {"policy-fetch-error", "no-protection"},
       1},
      {"policy host's certificate",
       with_fetch(Fault::webpki_invalid, "X509_V_ERR_CERT_HAS_EXPIRED"),
       Verdict::delivered,
       {"policy-host-certificate", "no-protection"},
       1},
      {"policy without mode",
       with_body("version: STSv1\nmx: a.example\nmax_age: 1209600\n"),
       Verdict::delivered,
       {"no-mode", "no-protection"},
       1},
      {"trailing dot",
       with_body(policy_text("enforce", "mx1.example.com.")),
       Verdict::delivered_verified,
       {"trailing-dot"},
       1},
      {"NXDOMAIN",
       with_end({End::permanent, "5.1.2", "the domain does not exist"}),
       Verdict::refused,
       {"no-such-domain"},
       2},
      {"null MX",
       with_end({End::null_mx, "5.1.10", "takes no mail"}),
       Verdict::refused,
       {"null-mx"},
       2},
      {"MX SERVFAIL",
       with_end({End::temporary, "4.4.3", "MX lookup failed"}),
       Verdict::undetermined,
       {"mx-lookup-failed"},
       3},
      {"host missing",
       with_address_problem(Problem::no_such_host),
       Verdict::refused,
       {"host-missing"},
       2},
      {"host SERVFAIL",
       with_address_problem(Problem::lookup_failed),
       Verdict::undetermined,
       {"host-lookup-failed"},
       3},
      {"private address",
       with_address_problem(Problem::refused),
       Verdict::refused,
       {"host-private-address"},
       2},
  });
}

TEST_CASE("TLSA records decide where they are usable, and a mismatch is an error") {
  using State = delivery::HostDane::State;
  check_rows({
      {"matched",
       with_dane(State::usable, net::DaneMatch::matched),
       Verdict::delivered_verified,
       {},
       0},
      {"no match",
       with_dane(State::usable, net::DaneMatch::no_match),
       Verdict::refused,
       {"tlsa-no-match"},
       2},
      {"unusable",
       with_dane(State::unusable, net::DaneMatch::not_asked),
       Verdict::delivered,
       {"tlsa-unusable", "no-protection"},
       1},
      {"lookup failed",
       with_dane(State::lookup_failed, net::DaneMatch::not_asked),
       Verdict::refused,
       {"tlsa-lookup-failed", "no-protection"},
       2},
  });
}

TEST_CASE("without connecting, what DNS and policy say still counts") {
  check_rows({
      {"good", not_connected(with_policy("enforce")), Verdict::not_connected, {}, 0},
      {"no policy", not_connected(unprotected()), Verdict::not_connected, {"no-protection"}, 1},
      {"foreign MX", not_connected(foreign("enforce")), Verdict::refused, {"mx-not-in-policy"}, 2},
  });
}

TEST_CASE("a second host that meets the policy takes what the first may not have") {
  Examination found = with_policy("enforce");
  Examination bad = foreign("enforce");
  bad.hosts.front().host.name = domain_name("elsewhere.example");
  found.hosts.insert(found.hosts.begin(), bad.hosts.front());
  const CheckOutcome outcome = outcome_of(found);
  CHECK(outcome.verdict == Verdict::delivered_verified);
  CHECK(outcome.host == "mx1.example.com");
  CHECK(exit_code(found) == kCheckFindings);
  const auto results = results_of(found);
  REQUIRE(results.size() == 2);
  CHECK(results[0].policies.front().failures.front().reason_code == "sts-mx-mismatch");
  CHECK(results[1].policies.front().failures.empty());
}

TEST_CASE("notes cost nothing: no reports asked for, short life, unused pattern, testing") {
  Examination found = examined(policy_of(
      "version: STSv1\nmode: testing\nmx: mx1.example.com\nmx: old.example.com\nmax_age: 86400\n"));
  found.tls_rpt_record = {Answer::absent, {}, {}};
  CHECK(notes(found) == std::set<std::string>{"mode-testing", "max-age-short", "mx-pattern-unused",
                                              "tls-rpt-absent"});
  CHECK(exit_code(found) == kCheckGood);
}

TEST_CASE("a remedy is known for every way to fail a fetch") {
  for (const std::string code :
       {"http-404", "http-301", "media-type", "timeout", "no-address", "dns-failure",
        "address-refused", "connection-refused", "connect-timeout", "unreachable",
        "policy-too-large", "tls-alert-40", "handshake-timeout"}) {
    CAPTURE(code);
    CHECK_FALSE(remedy(code).empty());
  }
  CHECK(remedy("http-301") != remedy("http-404"));
  CHECK(remedy("never heard of").empty());
}

TEST_CASE("every finding of the table of faults carries a remedy") {
  for (const Examination& found :
       {foreign("enforce"), unreachable(), unprotected(net::TlsNotOffered{"not-advertised"}),
        with_policy("enforce", unverified(Kind::expired, "X509_V_ERR_CERT_HAS_EXPIRED")),
        with_policy("none"), with_policy("testing", net::TlsFailed{"handshake-eof"})}) {
    for (const CheckFinding& finding : findings_of(found)) {
      CAPTURE(finding.code);
      CHECK_FALSE(finding.remedy.empty());
    }
  }
}

TEST_CASE("TLS-RPT would count what a delivery brings") {
  const auto type = [](const Examination& found) {
    const auto results = results_of(found);
    REQUIRE(results.size() == 1);
    const auto& failures = results.front().policies.front().failures;
    return failures.empty() ? std::string("success")
                            : std::string(rpt::wire_name(failures.front().type));
  };
  CHECK(type(with_policy("enforce")) == "success");
  CHECK(type(with_policy("enforce", unverified(Kind::expired, "X509_V_ERR_CERT_HAS_EXPIRED"))) ==
        "certificate-expired");
  CHECK(type(unprotected(net::TlsNotOffered{"not-advertised"})) == "starttls-not-supported");
  CHECK(type(with_fetch(sts::DiscoveryFault::Kind::fetch_error, "http-404")) ==
        "sts-policy-fetch-error");
  CHECK(results_of(unreachable()).empty());
  CHECK(results_of(not_connected(with_policy("enforce"))).empty());
}

}  // namespace
