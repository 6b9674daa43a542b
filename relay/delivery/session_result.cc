#include "relay/delivery/session_result.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace relay::delivery {
namespace {

using Failures = std::vector<rpt::FailureDetail>;
using rpt::PolicyType;
using rpt::ResultType;
using Verdict = DaneEvaluation::Verdict;

bool in_force(const SessionFacts& facts) {
  return facts.policy != nullptr && facts.policy->policy.mode != sts::Mode::none;
}

// Under enforce a host outside the policy is passed over before any connection.
bool refused_by_sts(const SessionFacts& facts) {
  return in_force(facts) && facts.policy->policy.mode == sts::Mode::enforce &&
         facts.coverage == Coverage::uncovered && !facts.tls;
}

bool refused_by_dane(const SessionFacts& facts) {
  return facts.dane && (facts.dane->verdict == Verdict::lookup_failed ||
                        facts.dane->verdict == Verdict::required_but_absent);
}

bool counts(const SessionFacts& facts) {
  return facts.connection == SessionFacts::Connection::opened &&
         facts.carried == SessionFacts::Carried::mail &&
         (facts.tls || facts.policy_fault || refused_by_sts(facts) || refused_by_dane(facts));
}

// A failure of the session itself, with all that is known about the peer.
rpt::FailureDetail in_session(const SessionFacts& facts, ResultType type, std::string reason) {
  return {type,
          facts.sending_ip,
          facts.mx_host,
          facts.server_name,
          facts.receiving_ip,
          std::move(reason)};
}

// A failure that kept the session from being opened: the host is all there is to name.
rpt::FailureDetail before_session(const SessionFacts& facts, ResultType type, std::string reason) {
  return {type, {}, facts.mx_host, {}, {}, std::move(reason)};
}

// A failure that concerns the policy domain and no host.
rpt::FailureDetail of_policy(ResultType type, std::string reason) {
  return {type, {}, {}, {}, {}, std::move(reason)};
}

ResultType result_type(sts::DiscoveryFault::Kind kind) {
  switch (kind) {
    case sts::DiscoveryFault::Kind::fetch_error:
      return ResultType::sts_policy_fetch_error;
    case sts::DiscoveryFault::Kind::policy_invalid:
      return ResultType::sts_policy_invalid;
    case sts::DiscoveryFault::Kind::webpki_invalid:
      return ResultType::sts_webpki_invalid;
  }
  return ResultType::sts_policy_fetch_error;
}

ResultType result_type(net::CertificateFaultKind kind) {
  switch (kind) {
    case net::CertificateFaultKind::host_mismatch:
      return ResultType::certificate_host_mismatch;
    case net::CertificateFaultKind::expired:
      return ResultType::certificate_expired;
    case net::CertificateFaultKind::not_trusted:
      return ResultType::certificate_not_trusted;
  }
  return ResultType::certificate_not_trusted;
}

std::string codes_of(const std::vector<net::CertificateFault>& faults) {
  std::string codes;
  for (const net::CertificateFault& fault : faults) {
    codes += (codes.empty() ? "" : ", ") + fault.code;
  }
  return codes;
}

// No TLS came about. A failure under every policy, and without one.
void add_negotiation_failure(const SessionFacts& facts, Failures& failures) {
  if (!facts.tls) {
    return;
  }
  if (const auto* missing = std::get_if<net::TlsNotOffered>(&*facts.tls)) {
    failures.push_back(in_session(facts, ResultType::starttls_not_supported, missing->reason));
  } else if (const auto* failed = std::get_if<net::TlsFailed>(&*facts.tls)) {
    failures.push_back(in_session(facts, ResultType::validation_failure, failed->reason));
  }
}

// RFC 8460 §4.3: one detail per cause, so an expired and misnamed certificate has two.
void add_certificate_faults(const SessionFacts& facts, Failures& failures) {
  const auto* unverified = facts.tls ? std::get_if<net::TlsUnverified>(&*facts.tls) : nullptr;
  if (unverified != nullptr) {
    for (const net::CertificateFault& fault : unverified->faults) {
      failures.push_back(in_session(facts, result_type(fault.kind), fault.code));
    }
  }
}

void add_dane_faults(const SessionFacts& facts, Failures& failures) {
  const net::TlsParameters* parameters = facts.tls ? parameters_of(*facts.tls) : nullptr;
  if (parameters == nullptr || parameters->dane_faults.empty()) {
    add_certificate_faults(facts, failures);
    return;
  }
  for (const net::CertificateFault& fault : parameters->dane_faults) {
    failures.push_back(in_session(facts, result_type(fault.kind), fault.code));
  }
}

rpt::PolicyResult tlsa_result(const SessionFacts& facts) {
  rpt::PolicyResult result;
  result.policy = {PolicyType::tlsa, facts.dane->records, facts.dane->base_domain, {}};
  switch (facts.dane->verdict) {
    case Verdict::lookup_failed:
      result.failures.push_back(before_session(facts, ResultType::dnssec_invalid, "tlsa-servfail"));
      return result;
    case Verdict::required_but_absent:
      result.failures.push_back(before_session(facts, ResultType::dane_required, "no-secure-tlsa"));
      return result;
    case Verdict::no_usable_record:
      result.failures.push_back(in_session(facts, ResultType::tlsa_invalid, "all-tlsa-unusable"));
      break;
    case Verdict::no_match:
      result.failures.push_back(in_session(facts, ResultType::validation_failure, "dane-no-match"));
      break;
    case Verdict::chain_faults:
      add_dane_faults(facts, result.failures);
      break;
    case Verdict::matched:
      // RFC 7672 §3.1.1: names, dates and issuers mean nothing to DANE-EE.
      break;
  }
  add_negotiation_failure(facts, result.failures);
  return result;
}

rpt::PolicyResult sts_result(const SessionFacts& facts) {
  rpt::PolicyResult result;
  result.policy = {PolicyType::sts, {}, facts.report_domain, {}};
  const bool judged = in_force(facts);
  if (judged) {
    result.policy.strings = sts::policy_lines(facts.policy->policy.body);
    for (const sts::MxPattern& pattern : facts.policy->policy.mx) {
      result.policy.mx_hosts.push_back(pattern.text());
    }
  }
  if (facts.policy_fault) {
    // RFC 8461 §6: reported also when the refresh failed and the cached policy went on.
    result.failures.push_back(of_policy(result_type(facts.policy_fault->kind),
                                        facts.policy_fault->reason + (judged ? "+cached" : "")));
  }
  if (refused_by_sts(facts)) {
    result.failures.push_back(
        before_session(facts, ResultType::validation_failure, "sts-mx-mismatch"));
    return result;
  }
  if (judged && facts.coverage == Coverage::uncovered) {
    result.failures.push_back(in_session(facts, ResultType::validation_failure, "sts-mx-mismatch"));
  }
  add_negotiation_failure(facts, result.failures);
  if (judged) {
    add_certificate_faults(facts, result.failures);
  }
  return result;
}

rpt::PolicyResult no_policy_result(const SessionFacts& facts) {
  rpt::PolicyResult result;
  result.policy = {PolicyType::no_policy_found, {}, facts.report_domain, {}};
  add_negotiation_failure(facts, result.failures);
  return result;
}

}  // namespace

const net::TlsParameters* parameters_of(const net::TlsOutcome& outcome) {
  if (const auto* verified = std::get_if<net::TlsVerified>(&outcome)) {
    return &verified->parameters;
  }
  const auto* unverified = std::get_if<net::TlsUnverified>(&outcome);
  return unverified != nullptr ? &unverified->parameters : nullptr;
}

std::optional<DaneEvaluation> evaluate(const HostDane& dane, Refusal why, std::string_view mx_host,
                                       const std::optional<net::TlsOutcome>& tls) {
  if (why == Refusal::dane_required) {
    return DaneEvaluation{Verdict::required_but_absent, std::string(mx_host), {}};
  }
  switch (dane.state) {
    case HostDane::State::absent:
    case HostDane::State::denied:
      return std::nullopt;
    case HostDane::State::unusable:
      return DaneEvaluation{Verdict::no_usable_record, dane.base_domain, dane.records};
    case HostDane::State::lookup_failed:
      return DaneEvaluation{Verdict::lookup_failed, dane.base_domain, {}};
    case HostDane::State::usable:
      break;
  }
  const net::TlsParameters* parameters = tls ? parameters_of(*tls) : nullptr;
  Verdict verdict = Verdict::matched;
  if (parameters != nullptr && parameters->dane == net::DaneMatch::no_match) {
    verdict = Verdict::no_match;
  } else if (parameters != nullptr && parameters->dane == net::DaneMatch::chain_faults) {
    verdict = Verdict::chain_faults;
  }
  return DaneEvaluation{verdict, dane.base_domain, dane.records};
}

std::string tls_complaint(const net::TlsOutcome& outcome, const smtp::TlsRequirement& required) {
  if (const auto* none = std::get_if<net::TlsNotOffered>(&outcome)) {
    return fmt::format("it does not offer TLS ({})", none->reason);
  }
  if (const auto* failed = std::get_if<net::TlsFailed>(&outcome)) {
    return fmt::format("its TLS handshake failed ({})", failed->reason);
  }
  const net::TlsParameters& parameters = *parameters_of(outcome);
  if (!required.lists(parameters)) {
    return fmt::format("neither its certificate ({}) nor its key ({}) is a listed one",
                       parameters.certificate_sha256, parameters.key_sha256);
  }
  if (parameters.dane == net::DaneMatch::no_match) {
    return "its certificate matches none of its TLSA records (dane-no-match)";
  }
  if (parameters.dane == net::DaneMatch::chain_faults) {
    return fmt::format("its certificate chain does not prove what its TLSA records ask for ({})",
                       codes_of(parameters.dane_faults));
  }
  if (const auto* unverified = std::get_if<net::TlsUnverified>(&outcome)) {
    return fmt::format("its certificate does not prove that ({})", codes_of(unverified->faults));
  }
  return "its TLS is as it should be";
}

std::optional<rpt::SessionResult> session_result(const SessionFacts& facts) {
  if (!counts(facts)) {
    return std::nullopt;
  }
  rpt::SessionResult result;
  result.report_domain = facts.report_domain;
  result.ended_at = std::chrono::floor<std::chrono::seconds>(facts.ended_at);
  if (facts.dane) {
    result.policies.push_back(tlsa_result(facts));
  }
  // A host that DANE ruled out was never judged by the STS policy.
  if ((in_force(facts) || facts.policy_fault) && !refused_by_dane(facts)) {
    result.policies.push_back(sts_result(facts));
  }
  if (result.policies.empty()) {
    result.policies.push_back(no_policy_result(facts));
  }
  return result;
}

}  // namespace relay::delivery
