#include "relay/cli/check_examination.h"

#include <algorithm>

#include <fmt/format.h>

namespace relay::cli {
namespace {

using Verdict = CheckOutcome::Verdict;

bool delivers(HostFate fate) {
  return fate <= HostFate::plaintext;
}

std::string tls_text(const HostSession& session, HostFate fate) {
  const net::TlsParameters* parameters = parameters_of(session.tls);
  if (fate == HostFate::plaintext || parameters == nullptr) {
    return "without TLS";
  }
  return fmt::format("over {}", parameters->version);
}

/// The session that a delivery to the host would use; null: none.
const HostSession* used_session(const HostExamination& host) {
  const auto found =
      std::find_if(host.sessions.begin(), host.sessions.end(),
                   [&](const HostSession& session) { return delivers(fate_of(host, session)); });
  return found == host.sessions.end() ? nullptr : &*found;
}

CheckOutcome delivered(const HostExamination& host, HostFate fate) {
  const std::string how = tls_text(*used_session(host), fate);
  const std::string& name = host.host.name.text();
  if (fate == HostFate::verified) {
    return {Verdict::delivered_verified,
            {},
            name,
            fmt::format("A message would be delivered to {} {}, with its name proved.", name, how)};
  }
  const std::string refusal = unenforced_refusal(host);
  const std::string why =
      refusal.empty() ? "nothing demands that the host proves its name"
                      : fmt::format("were report-only off, the host would be refused: {}", refusal);
  return {Verdict::delivered,
          {},
          name,
          fmt::format("A message would be delivered to {} {}; {}.", name, how, why)};
}

/// Which rule keeps mail from a host that a policy rules out.
std::pair<std::string, std::string> refusal(const HostExamination& host) {
  if (!host.decision.requirement) {
    return {std::string(delivery::name(host.decision.refusal)), host.explanation};
  }
  for (const HostSession& session : host.sessions) {
    if (session.tls && fate_of(host, session) == HostFate::refused) {
      return {std::string(host.decision.requirement->name()) + "-tls-not-met",
              fmt::format("{}; but {}", host.explanation,
                          delivery::tls_complaint(*session.tls, *host.decision.requirement))};
    }
  }
  return {};
}

CheckOutcome nowhere(const Examination& examination) {
  const auto with_fate = [&](HostFate fate) {
    return std::find_if(examination.hosts.begin(), examination.hosts.end(),
                        [&](const HostExamination& host) { return fate_of(host) == fate; });
  };
  const auto end = examination.hosts.end();
  if (const auto host = with_fate(HostFate::not_connected); host != end) {
    return {Verdict::not_connected,
            {},
            host->host.name.text(),
            fmt::format("By DNS and policy a message may be sent to {}; it was not connected to.",
                        host->host.name.text())};
  }
  if (with_fate(HostFate::unreachable) != end) {
    return {Verdict::undetermined,
            {},
            {},
            "A message would wait: no MX host that may be used can be reached."};
  }
  if (const auto host = with_fate(HostFate::refused); host != end) {
    auto [rule, text] = refusal(*host);
    return {Verdict::refused,
            std::move(rule),
            {},
            fmt::format("A message would be refused by policy: {}.", text)};
  }
  if (const auto host = with_fate(HostFate::missing); host != end) {
    return {Verdict::refused,
            "5.4.4",
            {},
            fmt::format("A message would not be sent: {}.", host->addresses.reason)};
  }
  return {Verdict::undetermined, {}, {}, "No MX host was looked at."};
}

delivery::SessionFacts facts_of(const Examination& examination, const HostExamination& host,
                                const HostSession* session) {
  delivery::SessionFacts facts;
  facts.report_domain = examination.domain;
  facts.ended_at = examination.at;
  facts.mx_host = host.host.name.text();
  facts.policy = delivery::exempted(examination.rule.get()) ? nullptr : examination.policy.policy;
  facts.policy_fault = examination.policy.fault;
  facts.coverage = host.decision.coverage;
  if (session != nullptr) {
    facts.receiving_ip = session->address.ip();
    facts.sending_ip = session->local_ip;
    facts.server_name = session->server_name;
    facts.tls = session->tls;
  }
  facts.dane = delivery::evaluate(host.dane.value_or(delivery::HostDane{}), host.decision.refusal,
                                  facts.mx_host, facts.tls);
  return facts;
}

void count(const delivery::SessionFacts& facts, std::vector<rpt::SessionResult>& results) {
  if (auto result = delivery::session_result(facts)) {
    results.push_back(std::move(*result));
  }
}

/// Address by address, as delivery would, until one takes the message.
bool count_host(const Examination& examination, const HostExamination& host,
                std::vector<rpt::SessionResult>& results) {
  if (!host.decision.requirement) {
    count(facts_of(examination, host, nullptr), results);
    return false;
  }
  for (const HostSession& session : host.sessions) {
    if (session.tls) {
      count(facts_of(examination, host, &session), results);
    }
    if (delivers(fate_of(host, session))) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string_view name(Answer answer) {
  switch (answer) {
    case Answer::not_asked:
      return "not-asked";
    case Answer::found:
      return "found";
    case Answer::absent:
      return "absent";
    case Answer::failed:
      return "failed";
  }
  return {};
}

std::string_view name(Lint::Weight weight) {
  switch (weight) {
    case Lint::Weight::harmless:
      return "harmless";
    case Lint::Weight::strict:
      return "strict";
    case Lint::Weight::fatal:
      return "fatal";
  }
  return {};
}

std::string_view name(DaemonCache::State state) {
  switch (state) {
    case DaemonCache::State::not_asked:
      return "not-asked";
    case DaemonCache::State::unreachable:
      return "unreachable";
    case DaemonCache::State::absent:
      return "absent";
    case DaemonCache::State::held:
      return "held";
  }
  return {};
}

std::string_view name(HostFate fate) {
  switch (fate) {
    case HostFate::verified:
      return "verified";
    case HostFate::unverified:
      return "unverified";
    case HostFate::plaintext:
      return "plaintext";
    case HostFate::refused:
      return "refused";
    case HostFate::unreachable:
      return "unreachable";
    case HostFate::missing:
      return "missing";
    case HostFate::not_connected:
      return "not-connected";
  }
  return {};
}

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::delivered_verified:
      return "delivered-verified";
    case Verdict::delivered:
      return "delivered";
    case Verdict::refused:
      return "refused";
    case Verdict::undetermined:
      return "undetermined";
    case Verdict::not_connected:
      return "not-connected";
    case Verdict::linted:
      return "linted";
  }
  return {};
}

std::optional<std::string> to_ascii(std::string_view text) {
  auto name = net::DomainName::parse(text);
  return name ? std::optional{name->text()} : std::nullopt;
}

rpt::Expected<rpt::Record, rpt::RecordFault> report_record(const TextRecords& records) {
  return rpt::parse_records(records.texts, to_ascii);
}

std::vector<Lint> lint(std::string_view body, const sts::ToAscii& to_ascii) {
  const auto tolerant = sts::parse_policy(body, sts::Strictness::tolerant, to_ascii).diagnostics;
  const auto weight_of = [&](const sts::Diagnostic& strict) {
    if (strict.severity == sts::Severity::tolerated) {
      return Lint::Weight::harmless;
    }
    const bool fatal = std::any_of(tolerant.begin(), tolerant.end(), [&](const auto& each) {
      return each.code == strict.code && each.line == strict.line &&
             each.severity == sts::Severity::fatal;
    });
    return fatal ? Lint::Weight::fatal : Lint::Weight::strict;
  };
  std::vector<Lint> found;
  for (auto& each : sts::parse_policy(body, sts::Strictness::strict, to_ascii).diagnostics) {
    found.push_back({each.code, each.line, each.message, weight_of(each)});
  }
  return found;
}

std::vector<std::string> body_lines(std::string_view body) {
  std::vector<std::string> lines;
  while (!body.empty()) {
    const std::size_t end = body.find('\n');
    std::string_view line = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    lines.emplace_back(line);
  }
  return lines;
}

const net::TlsParameters* parameters_of(const net::TlsOutcome& outcome) {
  if (const auto* verified = std::get_if<net::TlsVerified>(&outcome)) {
    return &verified->parameters;
  }
  const auto* unverified = std::get_if<net::TlsUnverified>(&outcome);
  return unverified != nullptr ? &unverified->parameters : nullptr;
}

const net::TlsParameters* parameters_of(const std::optional<net::TlsOutcome>& tls) {
  return tls ? parameters_of(*tls) : nullptr;
}

smtp::TlsRequirement probed_with(const HostExamination& host) {
  return host.decision.requirement.value_or(smtp::TlsRequirement::opportunistic());
}

HostFate fate_of(const HostExamination& host, const HostSession& session) {
  using Kind = smtp::SessionEnd::Kind;
  if (!host.decision.requirement) {
    return HostFate::refused;
  }
  if (!session.connect_failure.empty() || !session.end) {
    return HostFate::unreachable;
  }
  switch (session.end->kind) {
    case Kind::quit:
      break;
    case Kind::tls_requirement:
      return HostFate::refused;
    case Kind::tls_failed:  // Tried again without TLS.
      return HostFate::plaintext;
    case Kind::refused:
    case Kind::timeout:
    case Kind::lost:
    case Kind::protocol:
    case Kind::credentials:
      return HostFate::unreachable;
  }
  if (parameters_of(session.tls) == nullptr) {
    return HostFate::plaintext;
  }
  return host.decision.requirement->authenticates() ? HostFate::verified : HostFate::unverified;
}

HostFate fate_of(const HostExamination& host) {
  using Problem = delivery::HostAddresses::Problem;
  if (!host.decision.requirement) {
    return HostFate::refused;
  }
  switch (host.addresses.problem) {
    case Problem::none:
      break;
    case Problem::lookup_failed:
      return HostFate::unreachable;
    case Problem::no_such_host:
    case Problem::no_address:
    case Problem::refused:
      return HostFate::missing;
  }
  HostFate best = HostFate::not_connected;
  for (const HostSession& session : host.sessions) {
    best = std::min(best, fate_of(host, session));
  }
  return best;
}

std::string unenforced_refusal(const HostExamination& host) {
  const delivery::HostDecision& decision = host.decision;
  if (!decision.unenforced) {
    return {};
  }
  if (decision.refusal_unenforced != delivery::Refusal::none) {
    return std::string(delivery::name(decision.refusal_unenforced));
  }
  const HostSession* session = used_session(host);
  const bool met =
      session == nullptr || !session->tls || !delivery::would_refuse(decision, &*session->tls);
  return met ? "" : std::string(decision.unenforced->name()) + "-tls-not-met";
}

CheckOutcome outcome_of(const Examination& examination) {
  if (examination.domain.empty()) {
    return {Verdict::linted, {}, {}, {}};
  }
  delivery::TlsInputs inputs;
  inputs.policy = examination.policy.policy.get();
  inputs.rule = examination.rule;
  if (const auto& end = examination.mx.undeliverable) {
    const bool permanent = end->kind != delivery::Undeliverable::Kind::temporary &&
                           !delivery::failures_stay_temporary(inputs);
    return {
        permanent ? Verdict::refused : Verdict::undetermined,
        end->status,
        {},
        fmt::format("A message would {}: {}.", permanent ? "be returned" : "wait", end->reason)};
  }
  if (!examination.policy.hold.empty() && delivery::policy_matters(inputs)) {
    return {Verdict::undetermined,
            "4.7.0",
            {},
            fmt::format("A message would wait: {}.", examination.policy.hold)};
  }
  for (const HostExamination& host : examination.hosts) {
    const HostFate fate = fate_of(host);
    if (delivers(fate)) {
      return delivered(host, fate);
    }
    if (fate == HostFate::not_connected) {
      break;
    }
  }
  return nowhere(examination);
}

std::vector<rpt::SessionResult> results_of(const Examination& examination) {
  std::vector<rpt::SessionResult> results;
  if (examination.mx.undeliverable || examination.connecting == Examination::Connecting::no) {
    return results;
  }
  for (const HostExamination& host : examination.hosts) {
    if (count_host(examination, host, results)) {
      break;
    }
  }
  return results;
}

}  // namespace relay::cli
