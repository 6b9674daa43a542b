#include <fmt/format.h>

#include "relay/cli/check_certificate.h"
#include "relay/cli/check_judgement.h"
#include "relay/cli/check_rule.h"

namespace relay::cli {
namespace {

void judge_coverage(const Examination& examination, const HostExamination& host,
                    Findings& findings) {
  const std::string& where = host.host.name.text();
  if (host.decision.coverage == delivery::Coverage::uncovered) {
    const bool harmless = host.decision.requirement.has_value() &&
                          under_policy(examination) == Severity::error;  // DANE vouches for it.
    add(findings, harmless ? Severity::note : under_policy(examination), "mx-not-in-policy", where,
        "the policy does not list this host (RFC 8461 section 4.1)");
  }
  switch (host.decision.refusal) {
    case delivery::Refusal::none:
    case delivery::Refusal::mx_not_in_policy:
    case delivery::Refusal::tlsa_lookup_failed:
      return;
    case delivery::Refusal::mx_not_pinned:
    case delivery::Refusal::dane_required:
    case delivery::Refusal::mx_not_trusted:
      return add(findings, Severity::error, std::string(delivery::name(host.decision.refusal)),
                 where, host.explanation);
  }
}

void judge_addresses(const HostExamination& host, Findings& findings) {
  using Problem = delivery::HostAddresses::Problem;
  const std::string& where = host.host.name.text();
  const std::string& text = host.addresses.reason;
  switch (host.addresses.problem) {
    case Problem::none:
      return;
    case Problem::lookup_failed:
      return add(findings, Severity::warning, "host-lookup-failed", where, text);
    case Problem::no_such_host:
    case Problem::no_address:
      return add(findings, Severity::error, "host-missing", where, text);
    case Problem::refused:
      return add(findings, Severity::error, "host-private-address", where, text);
  }
}

void judge_tlsa(const HostExamination& host, Findings& findings) {
  using State = delivery::HostDane::State;
  if (!host.dane) {
    return;
  }
  const std::string& where = host.host.name.text();
  if (host.dane->state == State::lookup_failed) {
    add(findings, Severity::error, "tlsa-lookup-failed", where,
        "the TLSA records could not be looked up, so the host must not be used: " +
            host.dane->failure);
  } else if (host.dane->state == State::unusable) {
    add(findings, Severity::warning, "tlsa-unusable", where,
        "none of its TLSA records can be used for SMTP (RFC 7672 section 3.1)");
  }
}

std::string_view code_of(net::CertificateFaultKind kind) {
  switch (kind) {
    case net::CertificateFaultKind::host_mismatch:
      return "certificate-host-mismatch";
    case net::CertificateFaultKind::expired:
      return "certificate-expired";
    case net::CertificateFaultKind::not_trusted:
      return "certificate-not-trusted";
  }
  return {};
}

/// What the certificate says in place of what was expected: "; it names www.example.com".
std::string contrast(const net::CertificateFault& fault, const net::ChainSummary& chain,
                     net::WallTime now) {
  if (chain.empty()) {
    return {};
  }
  switch (fault.kind) {
    case net::CertificateFaultKind::host_mismatch:
      return "; it names " + names_text(chain.front());
    case net::CertificateFaultKind::expired:
      // Faults above the leaf are about other certificates.
      return fault.code.find("@depth") == std::string::npos
                 ? "; " + validity_text(chain.front(), now)
                 : "";
    case net::CertificateFaultKind::not_trusted:
      return "; issued by " + chain.front().issuer;
  }
  return {};
}

void judge_expiry(const Examination& examination, const HostExamination& host,
                  const net::TlsParameters& parameters, const std::string& where,
                  Findings& findings) {
  if (parameters.chain.empty() || !expires_soon(parameters.chain.front(), examination.at)) {
    return;
  }
  const auto& requirement = host.decision.requirement;
  // RFC 7672 §3.1.1: dates mean nothing where a TLSA record of the host's own key matches.
  const bool matters =
      parameters.dane != net::DaneMatch::matched && (under_policy(examination) != Severity::note ||
                                                     (requirement && requirement->authenticates()));
  add(findings, matters ? Severity::warning : Severity::note, "certificate-expires", where,
      fmt::format("the certificate ends soon: {}",
                  validity_text(parameters.chain.front(), examination.at)));
}

/// Where there is a better one than that of the fault's kind.
std::string_view remedy_for(const net::CertificateFault& fault) {
  if (fault.code.starts_with("X509_V_ERR_CERT_NOT_YET_VALID")) {
    return remedy("certificate-not-yet-valid");
  }
  if (fault.code.starts_with("X509_V_ERR_CERT_REVOKED")) {
    return remedy("certificate-revoked");
  }
  return fault.code.starts_with("X509_V_ERR_OCSP_") ? remedy("certificate-staple")
                                                    : std::string_view{};
}

void judge_certificate(const Examination& examination, const net::TlsOutcome& outcome,
                       const std::string& where, Findings& findings) {
  const net::TlsParameters& parameters = *parameters_of(outcome);
  if (parameters.dane == net::DaneMatch::no_match) {
    add(findings, Severity::error, "tlsa-no-match", where,
        "the certificate matches none of the TLSA records (RFC 7672 section 3)");
  } else if (parameters.dane == net::DaneMatch::chain_faults) {
    add(findings, Severity::error, "tlsa-chain-faults", where,
        delivery::tls_complaint(outcome, smtp::TlsRequirement::encrypted()));
  }
  if (parameters.version == "TLSv1" || parameters.version == "TLSv1.1") {
    add(findings, Severity::warning, "tls-old", where, "the session used " + parameters.version);
  }
  const auto* unverified = std::get_if<net::TlsUnverified>(&outcome);
  if (unverified == nullptr) {
    return;
  }
  // RFC 7672 §3.1.1: names, dates and issuers mean nothing where a TLSA record matches.
  const bool matched = parameters.dane == net::DaneMatch::matched;
  for (const net::CertificateFault& fault : unverified->faults) {
    add(findings, matched ? Severity::note : under_policy(examination),
        std::string(code_of(fault.kind)), where,
        fmt::format("the certificate does not prove the host's name: {}{}{}", fault.code,
                    contrast(fault, parameters.chain, examination.at),
                    matched ? "; its TLSA record does" : ""),
        remedy_for(fault));
  }
}

void judge_tls(const Examination& examination, const net::TlsOutcome& outcome,
               const std::string& where, Findings& findings) {
  if (const auto* none = std::get_if<net::TlsNotOffered>(&outcome)) {
    const bool missing = none->reason == "not-advertised";
    return add(findings, Severity::error, missing ? "starttls-missing" : "starttls-refused", where,
               missing ? "the host does not offer STARTTLS"
                       : "the host does not start TLS: " + none->reason);
  }
  if (const auto* failed = std::get_if<net::TlsFailed>(&outcome)) {
    return add(findings, Severity::error, "tls-handshake-failed", where,
               "the TLS handshake fails: " + failed->reason);
  }
  judge_certificate(examination, outcome, where, findings);
}

void judge_session(const Examination& examination, const HostExamination& host,
                   const HostSession& session, Findings& findings) {
  const std::string where = fmt::format("{} [{}]", host.host.name.text(), session.address.ip());
  if (!session.connect_failure.empty()) {
    return add(findings, Severity::warning, "connect-failed", where,
               "no connection: " + session.connect_failure, remedy("connect-failed-smtp"));
  }
  if (session.tls) {
    judge_tls(examination, *session.tls, where, findings);
  }
  if (const net::TlsParameters* parameters = parameters_of(session.tls)) {
    judge_expiry(examination, host, *parameters, where, findings);
  }
  using Kind = smtp::SessionEnd::Kind;
  if (session.end && session.end->kind != Kind::quit &&
      session.end->kind != Kind::tls_requirement && session.end->kind != Kind::tls_failed) {
    add(findings, Severity::warning, "session-refused", where, session.end->detail);
  }
}

void judge_unenforced(const Examination& examination, const HostExamination& host,
                      Findings& findings) {
  const std::string refusal = unenforced_refusal(host);
  if (!refusal.empty()) {
    add(findings, Severity::warning, "would-refuse", host.host.name.text(),
        fmt::format("would have been refused ({}), but {} is report-only", refusal,
                    examination.rule == nullptr ? "a rule" : rule_source(*examination.rule)));
  }
}

}  // namespace

void judge_rule(const Examination& examination, Findings& findings) {
  if (examination.rule == nullptr) {
    return;
  }
  const delivery::LocalRule& rule = *examination.rule;
  const std::string source = rule_source(rule);
  if (delivery::exempted(&rule)) {
    add(findings, Severity::warning, "exempted", examination.domain,
        fmt::format("{} exempts the domain from every TLS policy (level {}){}", source,
                    conf::name(rule.level), rule_end(rule)));
  } else if (rule.origin == "override") {
    add(findings, Severity::note, "override", examination.domain,
        fmt::format("{} says {}{}", source, rule_demand(rule), rule_end(rule)));
  }
  if (rule.effect == delivery::LocalRule::Effect::report_only) {
    add(findings, Severity::note, "report-only", examination.domain,
        fmt::format("{} is report-only: no host is refused", source));
  }
}

void judge_host(const Examination& examination, const HostExamination& host, Findings& findings) {
  judge_coverage(examination, host, findings);
  judge_addresses(host, findings);
  judge_tlsa(host, findings);
  for (const HostSession& session : host.sessions) {
    judge_session(examination, host, session, findings);
  }
  judge_unenforced(examination, host, findings);
}

}  // namespace relay::cli
