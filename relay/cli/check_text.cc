#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "relay/cli/check_certificate.h"
#include "relay/cli/check_report.h"
#include "relay/cli/check_rule.h"
#include "relay/cli/check_writer.h"
#include "sts/record.h"

namespace relay::cli {
namespace {

constexpr std::size_t kLinesShown = 200;
constexpr std::size_t kColumnsShown = 500;

Style style_of(HostFate fate) {
  switch (fate) {
    case HostFate::verified:
    case HostFate::unverified:
      return Style::good;
    case HostFate::plaintext:
    case HostFate::not_connected:
    case HostFate::unreachable:
      return Style::warning;
    case HostFate::refused:
    case HostFate::missing:
      return Style::bad;
  }
  return Style::bad;
}

Style style_of(CheckFinding::Severity severity) {
  switch (severity) {
    case CheckFinding::Severity::note:
      return Style::faint;
    case CheckFinding::Severity::warning:
      return Style::warning;
    case CheckFinding::Severity::error:
      return Style::bad;
  }
  return Style::bad;
}

Style style_of_exit(int code) {
  if (code == kCheckGood) {
    return Style::good;
  }
  return code == kCheckFindings ? Style::warning : Style::bad;
}

std::string records_text(const TextRecords& records) {
  if (records.answer == Answer::failed) {
    return "lookup failed: " + printable(records.failure);
  }
  std::vector<std::string> shown;
  for (const std::string& text : records.texts) {
    shown.push_back(fmt::format("\"{}\"", printable(text)));
  }
  return shown.empty() ? "none" : fmt::format("{}", fmt::join(shown, ", "));
}

std::string mx_text(const MxExamination& mx) {
  if (mx.undeliverable) {
    return printable(mx.undeliverable->reason);
  }
  std::vector<std::string> hosts;
  for (const delivery::MxHost& host : mx.hosts) {
    const bool record = host.source == delivery::MxHost::Source::mx_record;
    hosts.push_back(record ? fmt::format("{} {}", host.preference, host.name.text())
                           : host.name.text());
  }
  return fmt::format("{} ({})", fmt::join(hosts, ", "), name(mx.origin));
}

void write_reports(const TextRecords& records, Writer& out) {
  const auto parsed = report_record(records);
  std::string text = records_text(records);
  if (!parsed && parsed.error() != rpt::RecordFault::absent) {
    text += fmt::format(" (no reports: {})", rpt::name(parsed.error()));
  }
  out.row("_smtp._tls", text);
  if (parsed) {
    for (const rpt::Destination& each : parsed->destinations) {
      out.row("  reports to", each.uri);
    }
    for (const rpt::SkippedUri& each : parsed->skipped) {
      out.row("  not used", fmt::format("{} ({})", each.uri, each.reason));
    }
  }
}

void write_dns(const Examination& found, Writer& out) {
  out.heading("DNS");
  if (found.mx.origin == delivery::MxOrigin::route || found.domain != found.recipient_domain) {
    out.row("route", fmt::format("to {}", found.domain));
  }
  out.row("MX", mx_text(found.mx));
  std::string record = records_text(found.sts_record);
  const auto parsed = sts::parse_records(found.sts_record.texts);
  if (parsed) {
    record += fmt::format(" (id {})", parsed->id);
  } else if (!found.sts_record.texts.empty()) {
    record += fmt::format(" (no policy: {})", sts::name(parsed.error()));
  }
  out.row("_mta-sts", record);
  write_reports(found.tls_rpt_record, out);
}

std::string fetch_text(const sts::FetchResult& fetch) {
  if (const auto* answer = std::get_if<sts::HttpAnswer>(&fetch)) {
    return fmt::format("HTTP {} {}, certificate valid", answer->status,
                       printable(answer->content_type));
  }
  const auto& failure = std::get<sts::HttpFailure>(fetch);
  return fmt::format("{}{}",
                     failure.certificate ? "certificate not valid: " : "failed: ", failure.reason);
}

Style style_of(Lint::Weight weight) {
  switch (weight) {
    case Lint::Weight::harmless:
      return Style::faint;
    case Lint::Weight::strict:
      return Style::warning;
    case Lint::Weight::fatal:
      return Style::bad;
  }
  return Style::bad;
}

void write_lint(const std::vector<Lint>& lint, std::size_t line, Writer& out) {
  for (const Lint& each : lint) {
    if (each.line == line) {
      out.line(out.paint(style_of(each.weight),
                         fmt::format("      ^ {} ({}): {}", each.code, name(each.weight),
                                     printable(each.message))));
    }
  }
}

void write_body(const PolicyExamination& policy, Writer& out) {
  const auto lines = body_lines(policy.body);
  for (std::size_t i = 0; i < std::min(lines.size(), kLinesShown); ++i) {
    // A web page served by mistake may be one endless line.
    const std::string line = printable(lines[i].substr(0, kColumnsShown));
    out.line(fmt::format("  {:>3} {}", i + 1, line));
    write_lint(policy.lint, i + 1, out);
  }
  if (lines.size() > kLinesShown) {
    out.line(fmt::format("      ({} more lines)", lines.size() - kLinesShown));
  }
  write_lint(policy.lint, 0, out);
}

void write_chain(const net::ChainSummary& chain, net::WallTime now, Writer& out) {
  if (chain.empty()) {
    return;
  }
  out.row("certificate", certificate_line(chain, now));
  if (chain.size() > 1) {
    out.row("sent with it", issuers_line(chain));
  }
}

void write_policy(const PolicyExamination& policy, net::WallTime now, Writer& out) {
  if (policy.source == PolicyExamination::Source::none) {
    return;
  }
  out.heading("Policy " + printable(policy.where));
  if (policy.fetch) {
    out.row("fetch", fetch_text(*policy.fetch));
  }
  if (policy.peer) {
    out.row("TLS", fmt::format("{} {}", policy.peer->version, policy.peer->cipher));
    write_chain(policy.peer->chain, now, out);
  }
  if (policy.policy != nullptr) {
    std::vector<std::string> patterns;
    for (const sts::MxPattern& pattern : policy.policy->policy.mx) {
      patterns.push_back(pattern.text());
    }
    out.row("mode", sts::name(policy.policy->policy.mode));
    out.row("max_age", fmt::format("{} s", policy.policy->policy.max_age.count()));
    out.row("mx", fmt::format("{}", fmt::join(patterns, ", ")));
  } else if (policy.fault) {
    out.row("in force", fmt::format("no: {}", policy.fault->reason));
  }
  write_body(policy, out);
}

void write_rule(const delivery::LocalRule* rule, Writer& out) {
  if (!says_something(rule)) {
    return;
  }
  out.heading("Local rule");
  out.row("set by", rule->origin == "override" ? "override (`stsrelay policy override`)"
                                               : printable(rule->origin));
  out.row("says", printable(rule_demand(*rule) + rule_end(*rule)));
}

std::string dane_text(const std::optional<delivery::HostDane>& dane) {
  if (!dane || dane->state == delivery::HostDane::State::absent) {
    return "none that is secure";
  }
  if (dane->state == delivery::HostDane::State::denied) {
    return "none, as DNSSEC proves";
  }
  if (dane->state == delivery::HostDane::State::lookup_failed) {
    return "lookup failed: " + printable(dane->failure);
  }
  return fmt::format("{} ({})", fmt::join(dane->records, ", "), name(dane->state));
}

std::string codes(const std::vector<net::CertificateFault>& faults) {
  std::vector<std::string> shown;
  shown.reserve(faults.size());
  for (const net::CertificateFault& fault : faults) {
    shown.push_back(fault.code);
  }
  return fmt::format("{}", fmt::join(shown, ", "));
}

std::string certificate_text(const net::TlsOutcome& outcome) {
  const net::TlsParameters& parameters = *parameters_of(outcome);
  std::string text = fmt::format("{} {}, ", parameters.version, parameters.cipher);
  if (const auto* unverified = std::get_if<net::TlsUnverified>(&outcome)) {
    text += fmt::format("certificate not valid ({})", codes(unverified->faults));
  } else {
    text += "certificate valid for the name";
  }
  if (!parameters.staple.empty()) {
    text += fmt::format(", stapled status {}", parameters.staple);
  }
  if (parameters.dane != net::DaneMatch::not_asked) {
    text += fmt::format(", DANE {}", name(parameters.dane));
    if (!parameters.dane_faults.empty()) {
      text += fmt::format(" ({})", codes(parameters.dane_faults));
    }
  }
  return text;
}

std::string session_text(const HostExamination& host, const HostSession& session) {
  if (!session.connect_failure.empty()) {
    return "no connection: " + printable(session.connect_failure);
  }
  std::string text;
  if (session.tls && parameters_of(session.tls) != nullptr) {
    text = certificate_text(*session.tls);
  } else if (session.tls) {
    text = delivery::tls_complaint(*session.tls, probed_with(host));
  }
  using Kind = smtp::SessionEnd::Kind;
  if (session.end && session.end->kind != Kind::quit && session.end->kind != Kind::tls_failed &&
      (session.end->kind != Kind::tls_requirement || text.empty())) {
    text += (text.empty() ? "" : "; ") + printable(session.end->detail);
  }
  return text.empty() ? "no TLS" : text;
}

std::string fate_text(const HostExamination& host) {
  const HostFate fate = fate_of(host);
  if (fate == HostFate::refused && !host.decision.requirement) {
    return fmt::format("refused: {}", delivery::name(host.decision.refusal));
  }
  return std::string(name(fate));
}

void write_host(const HostExamination& host, net::WallTime now, Writer& out) {
  out.heading("MX host " + host.host.name.text());
  std::vector<std::string> addresses;
  for (const net::SocketAddress& address : host.addresses.usable) {
    addresses.push_back(address.ip());
  }
  out.row("addresses", addresses.empty() ? printable(host.addresses.reason)
                                         : fmt::format("{}", fmt::join(addresses, ", ")));
  if (host.decision.coverage != delivery::Coverage::no_policy) {
    out.row("policy", host.decision.coverage == delivery::Coverage::covered ? "lists it"
                                                                            : "does not list it");
  }
  out.row("TLSA", dane_text(host.dane));
  out.row("rule", printable(host.explanation));
  for (const HostSession& session : host.sessions) {
    out.row(session.address.ip(), session_text(host, session));
    if (const net::TlsParameters* parameters = parameters_of(session.tls)) {
      write_chain(parameters->chain, now, out);
    }
  }
  out.row("verdict", out.paint(style_of(fate_of(host)), fate_text(host)));
  if (const std::string refusal = unenforced_refusal(host); !refusal.empty()) {
    out.row("report-only", out.paint(Style::warning, "would have been refused: " + refusal));
  }
}

void write_results(const std::vector<rpt::SessionResult>& results, Writer& out) {
  if (results.empty()) {
    return;
  }
  out.heading("TLS-RPT would count");
  for (const rpt::SessionResult& session : results) {
    for (const rpt::PolicyResult& result : session.policies) {
      std::vector<std::string> failures;
      for (const rpt::FailureDetail& failure : result.failures) {
        failures.push_back(
            fmt::format("{} ({})", rpt::wire_name(failure.type), printable(failure.reason_code)));
      }
      out.row(rpt::wire_name(result.policy.type),
              failures.empty() ? "success" : fmt::format("failure: {}", fmt::join(failures, ", ")));
    }
  }
}

void write_daemon(const DaemonCache& cache, Writer& out) {
  if (cache.state == DaemonCache::State::not_asked) {
    return;
  }
  out.heading("The daemon's cache");
  if (cache.state == DaemonCache::State::held) {
    out.row("policy", fmt::format("mode {}, id {}", printable(cache.mode), printable(cache.id)));
    out.row("fetched", printable(cache.fetched_at));
    out.row("expires", printable(cache.expires_at));
  } else {
    out.row("policy", printable(cache.detail));
  }
}

void write_findings(const std::vector<CheckFinding>& findings, Writer& out) {
  out.heading("Findings");
  if (findings.empty()) {
    out.line("  none");
  }
  for (const CheckFinding& finding : findings) {
    out.line(fmt::format(
        "  {} {}: {}: {}",
        out.paint(style_of(finding.severity), fmt::format("{:<7}", name(finding.severity))),
        finding.code, printable(finding.where), printable(finding.text)));
    if (!finding.remedy.empty()) {
      out.line(fmt::format("          {}", finding.remedy));
    }
  }
}

std::string summary(const CheckReport& report, int code) {
  if (report.outcome.verdict != CheckOutcome::Verdict::linted) {
    return fmt::format("{}: {}", printable(report.examination.recipient_domain),
                       printable(report.outcome.text));
  }
  const std::string& where = report.examination.policy.where;
  if (code == kCheckGood) {
    return fmt::format("{}: a policy without faults.", where);
  }
  return fmt::format("{}: {}", where,
                     code == kCheckFindings ? "a policy with faults that strict senders refuse."
                                            : "not a policy.");
}

}  // namespace

std::string to_text(const CheckReport& report, Colour colour) {
  const Examination& found = report.examination;
  const int code = check_exit_code(report.outcome, report.findings);
  Writer out(colour);
  out.line(out.paint(style_of_exit(code), summary(report, code)));
  if (!found.domain.empty()) {
    write_dns(found, out);
  }
  write_policy(found.policy, found.at, out);
  write_rule(found.rule.get(), out);
  for (const HostExamination& host : found.hosts) {
    write_host(host, found.at, out);
  }
  write_results(report.results, out);
  write_daemon(found.daemon, out);
  write_findings(report.findings, out);
  return out.take();
}

}  // namespace relay::cli
