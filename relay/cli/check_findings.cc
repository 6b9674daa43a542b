#include "relay/cli/check_findings.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "relay/cli/check_certificate.h"
#include "relay/cli/check_judgement.h"
#include "sts/record.h"

namespace relay::cli {
namespace {

constexpr std::chrono::hours kShortLife{7 * 24};

std::string_view code_of(const delivery::Undeliverable& end) {
  using Kind = delivery::Undeliverable::Kind;
  switch (end.kind) {
    case Kind::temporary:
      return "mx-lookup-failed";
    case Kind::null_mx:
      return "null-mx";
    case Kind::permanent:
      break;
  }
  if (end.status == "5.1.2") {
    return "no-such-domain";
  }
  return end.status == "5.4.6" ? "mx-loops-back" : "mx-names-no-host";
}

void judge_mx(const Examination& examination, Findings& findings) {
  if (const auto& end = examination.mx.undeliverable) {
    add(findings, Severity::error, std::string(code_of(*end)), examination.domain, end->reason);
  }
  for (const HostExamination& host : examination.hosts) {
    const auto& published = examination.mx.hosts;
    const bool known = std::any_of(published.begin(), published.end(),
                                   [&](const auto& each) { return each.name == host.host.name; });
    if (!known && examination.mx.answer == Answer::found) {
      add(findings, Severity::warning, "mx-not-published", host.host.name.text(),
          "no MX record of the domain names this host");
    }
  }
}

void judge_record(const Examination& examination, Findings& findings) {
  const TextRecords& record = examination.sts_record;
  const std::string where = "_mta-sts." + examination.domain;
  if (record.answer == Answer::not_asked || examination.mx.undeliverable) {
    return;
  }
  if (record.answer == Answer::failed) {
    return add(findings, Severity::error, "record-lookup-failed", where,
               "the TXT records could not be looked up: " + record.failure);
  }
  const auto parsed = sts::parse_records(record.texts);
  if (parsed) {
    return;
  }
  const std::string code = fmt::format("record-{}", sts::name(parsed.error()));
  switch (parsed.error()) {
    case sts::RecordFault::absent:
      return add(findings, Severity::note, code, where, "no TXT record announces a policy");
    case sts::RecordFault::several:
      return add(findings, Severity::error, code, where,
                 "several TXT records announce a policy, so none counts (RFC 8461 section 3.1)");
    case sts::RecordFault::malformed:
      return add(findings, Severity::error, code, where,
                 "the TXT record breaks the grammar, so there is no policy (RFC 8461 section 3.1)");
  }
}

/// ": it names www.example.com, 2026-01-01 to 2026-04-01, ended 3 days ago"
std::string shown_instead(const PolicyExamination& policy, net::WallTime now) {
  if (!policy.peer || policy.peer->chain.empty()) {
    return {};
  }
  const net::CertificateSummary& leaf = policy.peer->chain.front();
  return fmt::format("; it names {}, {}", names_text(leaf), validity_text(leaf, now));
}

void judge_fetch(const PolicyExamination& policy, net::WallTime now, Findings& findings) {
  if (policy.peer && !policy.peer->chain.empty() && expires_soon(policy.peer->chain.front(), now)) {
    add(findings, Severity::warning, "policy-certificate-expires", policy.where,
        fmt::format("the policy host's certificate ends soon: {}",
                    validity_text(policy.peer->chain.front(), now)));
  }
  if (!policy.fault) {
    return;
  }
  const std::string& reason = policy.fault->reason;
  switch (policy.fault->kind) {
    case sts::DiscoveryFault::Kind::fetch_error:
      return add(findings, Severity::error, "policy-fetch-error", policy.where,
                 "the policy could not be fetched: " + reason, remedy(reason));
    case sts::DiscoveryFault::Kind::webpki_invalid:
      return add(
          findings, Severity::error, "policy-host-certificate", policy.where,
          "the policy host's certificate is not valid: " + reason + shown_instead(policy, now));
    case sts::DiscoveryFault::Kind::policy_invalid:
      return;  // The lines say it.
  }
}

bool dane_protects(const Examination& examination) {
  return examination.mx.origin != delivery::MxOrigin::insecure &&
         std::any_of(examination.hosts.begin(), examination.hosts.end(), [](const auto& host) {
           return host.dane && host.dane->state == delivery::HostDane::State::usable;
         });
}

void judge_patterns(const Examination& examination, Findings& findings) {
  for (const sts::MxPattern& pattern : examination.policy.policy->policy.mx) {
    const auto& hosts = examination.mx.hosts;
    const bool used = std::any_of(hosts.begin(), hosts.end(), [&](const delivery::MxHost& host) {
      return pattern.matches(host.name.text());
    });
    if (!used && !hosts.empty()) {
      add(findings, Severity::note, "mx-pattern-unused", examination.policy.where,
          fmt::format("no MX host matches mx: {}", pattern.text()));
    }
  }
}

/// What a daemon's cache makes of it, which goes on until it expires (RFC 8461 §5.1).
void judge_cache(const Examination& examination, Findings& findings) {
  const DaemonCache& cache = examination.daemon;
  const PolicyExamination& policy = examination.policy;
  if (cache.policy == nullptr || policy.source == PolicyExamination::Source::file) {
    return;
  }
  if (policy.policy == nullptr || policy.policy->id == cache.policy->id) {
    if (policy.fault || policy.source == PolicyExamination::Source::none) {
      add(findings, Severity::warning, "cache-decides", examination.domain,
          fmt::format("the daemon goes by the policy it fetched {} (id {}), until {}",
                      cache.fetched_at, cache.id, cache.expires_at));
    }
    return;
  }
  add(findings, Severity::note, "cache-older", examination.domain,
      fmt::format("the daemon still goes by the policy with id {}, fetched {}", cache.id,
                  cache.fetched_at));
}

void judge_policy(const Examination& examination, Findings& findings) {
  const PolicyExamination& policy = examination.policy;
  if (policy.policy == nullptr) {
    if (!dane_protects(examination) && !examination.mx.undeliverable) {
      add(findings, Severity::warning, "no-protection", examination.domain,
          "nothing keeps an attacker on the way from reading or diverting mail to the domain");
    }
    return;
  }
  switch (policy.policy->policy.mode) {
    case sts::Mode::enforce:
      break;
    case sts::Mode::testing:
      add(findings, Severity::note, "mode-testing", policy.where,
          "senders report failures and deliver all the same");
      break;
    case sts::Mode::none:
      return add(findings, Severity::warning, "mode-none", policy.where,
                 "the policy says that there is none");
  }
  if (policy.policy->policy.max_age < kShortLife) {
    add(findings, Severity::note, "max-age-short", policy.where,
        fmt::format("senders forget the policy after {} seconds",
                    policy.policy->policy.max_age.count()));
  }
  judge_patterns(examination, findings);
}

void judge_destinations(const rpt::Record& record, const std::string& where, Findings& findings) {
  for (const rpt::SkippedUri& each : record.skipped) {
    add(findings, Severity::warning, "tls-rpt-uri", where,
        fmt::format("no report is sent to '{}': {}", each.uri, each.reason),
        remedy("tls-rpt-" + each.reason));
  }
  if (record.destinations.empty()) {
    add(findings, Severity::warning, "tls-rpt-no-destination", where,
        "the record names no place that reports can be sent to");
  }
}

void judge_reports(const Examination& examination, Findings& findings) {
  const TextRecords& record = examination.tls_rpt_record;
  const std::string where = "_smtp._tls." + examination.domain;
  if (record.answer == Answer::not_asked || examination.mx.undeliverable) {
    return;
  }
  if (record.answer == Answer::failed) {
    return add(findings, Severity::note, "tls-rpt-lookup-failed", where,
               "the TXT records could not be looked up: " + record.failure);
  }
  const auto parsed = report_record(record);
  if (parsed) {
    return judge_destinations(*parsed, where, findings);
  }
  switch (parsed.error()) {
    case rpt::RecordFault::absent:
      return add(findings, Severity::note, "tls-rpt-absent", where,
                 "nobody is told of TLS failures");
    case rpt::RecordFault::several:
      return add(findings, Severity::warning, "tls-rpt-several", where,
                 "several records ask for reports, so none counts (RFC 8460 section 3)");
    case rpt::RecordFault::malformed:
      return add(findings, Severity::warning, "tls-rpt-malformed", where,
                 "the record breaks the grammar, so no reports are sent (RFC 8460 section 3)");
  }
}

}  // namespace

void add(Findings& findings, Severity severity, std::string code, std::string where,
         std::string text, std::string_view advice) {
  const std::string_view known = advice.empty() ? remedy(code) : advice;
  findings.push_back(
      {severity, std::move(code), std::move(where), std::move(text), std::string(known)});
}

/// How much a fault weighs that only a policy makes one.
Severity under_policy(const Examination& examination) {
  const auto& policy = examination.policy.policy;
  if (policy == nullptr || policy->policy.mode == sts::Mode::none) {
    return Severity::note;
  }
  return policy->policy.mode == sts::Mode::enforce ? Severity::error : Severity::warning;
}

std::string_view name(Severity severity) {
  switch (severity) {
    case Severity::note:
      return "note";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
  }
  return {};
}

Findings findings_of(const std::vector<Lint>& lint) {
  Findings findings;
  for (const Lint& each : lint) {
    Severity severity = Severity::error;
    switch (each.weight) {
      case Lint::Weight::harmless:
        severity = Severity::note;
        break;
      case Lint::Weight::strict:
        severity = Severity::warning;
        break;
      case Lint::Weight::fatal:
        break;
    }
    add(findings, severity, each.code,
        each.line == 0 ? "policy" : fmt::format("policy line {}", each.line), each.message);
  }
  return findings;
}

Findings findings_of(const Examination& examination) {
  Findings findings;
  judge_mx(examination, findings);
  judge_record(examination, findings);
  judge_fetch(examination.policy, examination.at, findings);
  const Findings body = findings_of(examination.policy.lint);
  findings.insert(findings.end(), body.begin(), body.end());
  if (examination.domain.empty()) {
    return findings;
  }
  judge_policy(examination, findings);
  judge_cache(examination, findings);
  judge_rule(examination, findings);
  for (const HostExamination& host : examination.hosts) {
    judge_host(examination, host, findings);
  }
  judge_reports(examination, findings);
  return findings;
}

int check_exit_code(const CheckOutcome& outcome, const Findings& findings) {
  using Verdict = CheckOutcome::Verdict;
  const auto worst = std::max_element(
      findings.begin(), findings.end(),
      [](const CheckFinding& a, const CheckFinding& b) { return a.severity < b.severity; });
  const Severity weight = worst == findings.end() ? Severity::note : worst->severity;
  const int delivered = weight == Severity::note ? kCheckGood : kCheckFindings;
  switch (outcome.verdict) {
    case Verdict::refused:
      return kCheckRefused;
    case Verdict::undetermined:
      return kCheckUndetermined;
    case Verdict::linted:
      return weight == Severity::error ? kCheckRefused : delivered;
    case Verdict::delivered_verified:
    case Verdict::delivered:
    case Verdict::not_connected:
      break;
  }
  return delivered;
}

}  // namespace relay::cli
