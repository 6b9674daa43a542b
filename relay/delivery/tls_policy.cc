#include "relay/delivery/tls_policy.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "sts/enforcement.h"

namespace relay::delivery {
namespace {

// What all inputs weighed so far demand of a session.
struct Demand {
  enum class Level { nothing, encrypted, verified } level = Level::nothing;
  Refusal refusal = Refusal::none;
  std::shared_ptr<const net::DaneExpectation> dane;
  std::shared_ptr<const smtp::TlsRequirement::Fingerprints> fingerprints;

  void raise(Level to) { level = std::max(level, to); }
  void refuse(Refusal why) {
    if (refusal == Refusal::none) {
      refusal = why;
    }
  }
  [[nodiscard]] smtp::TlsRequirement requirement() const {
    smtp::TlsRequirement result = smtp::TlsRequirement::opportunistic();
    switch (level) {
      case Level::nothing:
        break;
      case Level::encrypted:
        result = smtp::TlsRequirement::encrypted();
        break;
      case Level::verified:
        result = smtp::TlsRequirement::verified();
        break;
    }
    if (fingerprints != nullptr) {
      result = result.with_fingerprints(fingerprints);
    }
    return dane != nullptr ? result.with_dane(dane) : result;
  }
};

bool usable(const HostDane* dane) {
  return dane != nullptr && dane->state == HostDane::State::usable;
}

// Whether usable TLSA records speak for the host alone. Behind an insecure MX RRset they prove
// only that the host is itself, not that mail for the domain belongs there (RFC 7672 §2.2.1).
bool dane_authenticates(const TlsInputs& inputs, const HostDane* dane) {
  return usable(dane) && inputs.mx != MxOrigin::insecure &&
         inputs.composition == Composition::dane_decides;
}

LocalLevel level_of(const LocalRule* rule) {
  return rule == nullptr ? LocalLevel::opportunistic : rule->level;
}

void weigh_enforce(const TlsInputs& inputs, const HostDane* dane, HostDecision& decision,
                   Demand& demand) {
  const bool listed = decision.coverage == Coverage::covered;
  decision.add(listed ? Finding::sts_enforce : Finding::sts_enforce_unlisted);
  if (dane_authenticates(inputs, dane)) {
    decision.add(Finding::dane_over_sts);
    return;
  }
  if (usable(dane)) {
    decision.add(Finding::dane_and_sts);
  }
  if (listed) {
    demand.raise(Demand::Level::verified);
  } else {
    demand.refuse(Refusal::mx_not_in_policy);
  }
}

void weigh_sts(const TlsInputs& inputs, const HostDane* dane, std::string_view mx_host,
               HostDecision& decision, Demand& demand) {
  if (inputs.policy == nullptr) {
    decision.add(Finding::no_policy);
    return;
  }
  const sts::Policy& policy = inputs.policy->policy;
  if (policy.mode == sts::Mode::none) {
    decision.add(Finding::sts_none);
    return;
  }
  decision.coverage = sts::admit_host(&policy, mx_host) == sts::Admission::admit
                          ? Coverage::covered
                          : Coverage::uncovered;
  switch (sts::required_tls(&policy)) {
    case sts::RequiredTls::verified:
      weigh_enforce(inputs, dane, decision, demand);
      return;
    case sts::RequiredTls::opportunistic:
      decision.add(decision.coverage == Coverage::covered ? Finding::sts_testing
                                                          : Finding::sts_testing_unlisted);
      return;
  }
}

void weigh_dane(const HostDane* dane, HostDecision& decision, Demand& demand) {
  if (dane == nullptr) {
    return;
  }
  switch (dane->state) {
    case HostDane::State::absent:
      return;
    case HostDane::State::usable:
      decision.add(Finding::dane_usable);
      demand.raise(Demand::Level::encrypted);
      demand.dane = dane->expectation;
      return;
    case HostDane::State::unusable:
      decision.add(Finding::dane_unusable);
      demand.raise(Demand::Level::encrypted);
      return;
    case HostDane::State::lookup_failed:
      decision.add(Finding::dane_lookup_failed);
      demand.refuse(Refusal::tlsa_lookup_failed);
      return;
  }
}

void weigh_level(const TlsInputs& inputs, const HostDane* dane, HostDecision& decision,
                 Demand& demand) {
  switch (level_of(inputs.rule.get())) {
    case LocalLevel::none:
    case LocalLevel::opportunistic:
    case LocalLevel::dane:  // DANE is obeyed wherever it can be; the word asks for nothing more.
      return;
    case LocalLevel::encrypt:
      decision.add(Finding::local_encrypt);
      demand.raise(Demand::Level::encrypted);
      return;
    case LocalLevel::verify:
      decision.add(Finding::local_verify);
      demand.raise(dane_authenticates(inputs, dane) ? Demand::Level::encrypted
                                                    : Demand::Level::verified);
      return;
    case LocalLevel::dane_only:
      decision.add(Finding::local_dane_only);
      // RFC 7672 §2.2.1: TLSA records prove nothing of a host whose name anybody could have forged.
      if (inputs.mx == MxOrigin::insecure) {
        decision.add(Finding::local_dane_only_insecure);
        demand.refuse(Refusal::dane_required);
      } else if (dane != nullptr && !usable(dane)) {
        demand.refuse(Refusal::dane_required);
      }
      return;
    case LocalLevel::fingerprint:
      decision.add(Finding::local_fingerprint);
      demand.raise(Demand::Level::encrypted);
      demand.fingerprints = std::shared_ptr<const smtp::TlsRequirement::Fingerprints>(
          inputs.rule, &inputs.rule->fingerprints);
      return;
  }
}

void weigh_pin(const TlsInputs& inputs, const HostDane* dane, std::string_view mx_host,
               HostDecision& decision, Demand& demand) {
  if (inputs.rule == nullptr || inputs.rule->mx.empty()) {
    return;
  }
  const bool listed =
      std::any_of(inputs.rule->mx.begin(), inputs.rule->mx.end(),
                  [&](const sts::MxPattern& pattern) { return pattern.matches(mx_host); });
  if (!listed) {
    decision.add(Finding::local_pin_unlisted);
    demand.refuse(Refusal::mx_not_pinned);
    return;
  }
  decision.add(Finding::local_pin);
  demand.raise(dane_authenticates(inputs, dane) ? Demand::Level::encrypted
                                                : Demand::Level::verified);
}

// RFC 8689 §4.2.1: the MX name must come from DNSSEC or be vouched for by MTA-STS, and the
// session must be authenticated.
void weigh_requiretls(const TlsInputs& inputs, const HostDane* dane, HostDecision& decision,
                      Demand& demand) {
  const bool by_sts = inputs.policy != nullptr &&
                      inputs.policy->policy.mode == sts::Mode::enforce &&
                      decision.coverage == Coverage::covered;
  if (inputs.mx == MxOrigin::insecure && !by_sts) {
    decision.add(Finding::requiretls_untrusted);
    demand.refuse(Refusal::mx_not_trusted);
    return;
  }
  decision.add(Finding::requiretls);
  demand.raise(dane_authenticates(inputs, dane) ? Demand::Level::encrypted
                                                : Demand::Level::verified);
}

// The site's policies: what the destination publishes and what the operator adds.
Demand weigh_policies(const TlsInputs& inputs, const HostDane* dane, std::string_view mx_host,
                      HostDecision& decision) {
  Demand demand;
  if (exempted(inputs.rule.get())) {
    decision.add(Finding::local_exemption);
    return demand;
  }
  weigh_dane(dane, decision, demand);
  weigh_sts(inputs, dane, mx_host, decision, demand);
  weigh_level(inputs, dane, decision, demand);
  weigh_pin(inputs, dane, mx_host, decision, demand);
  return demand;
}

void set_result(const TlsInputs& inputs, const Demand& demand, HostDecision& decision) {
  decision.refusal = demand.refusal;
  if (demand.refusal != Refusal::none) {
    return;
  }
  if (level_of(inputs.rule.get()) == LocalLevel::none && demand.level == Demand::Level::nothing &&
      inputs.message == spool::MessageTls::normal) {
    decision.add(Finding::local_plaintext);
    decision.requirement = smtp::TlsRequirement::plaintext();
    return;
  }
  decision.requirement = demand.requirement();
}

// Nothing is demanded any more, but the TLSA verdict is still wanted for reports.
Demand waived(const Demand& demand) {
  Demand rest;
  rest.dane = demand.dane;
  return rest;
}

std::string mode_text(const sts::CachedPolicy& policy) {
  return fmt::format("MTA-STS policy of {} (mode {}, id {})", policy.domain,
                     sts::name(policy.policy.mode), policy.id);
}

std::string rule_text(const LocalRule* rule) {
  if (rule == nullptr) {
    return "the default TLS rule";
  }
  return rule->reason.empty() ? fmt::format("the rule {}", rule->origin)
                              : fmt::format("the rule {} ({})", rule->origin, rule->reason);
}

std::string sentence(Finding finding, const TlsInputs& inputs, std::string_view host) {
  const auto sts = [&](std::string_view verdict) {
    return fmt::format("{}: host {} {}", mode_text(*inputs.policy), host, verdict);
  };
  const auto local = [&](std::string_view verdict) {
    return fmt::format("{} {}", rule_text(inputs.rule.get()), verdict);
  };
  switch (finding) {
    case Finding::no_policy:
      return "no TLS policy: TLS is used if offered, with any certificate";
    case Finding::sts_none:
      return fmt::format("{}: as if there were no policy (RFC 8461 section 5)",
                         mode_text(*inputs.policy));
    case Finding::sts_enforce:
      return sts("is listed and must prove its name by a valid certificate (RFC 8461 section 4.2)");
    case Finding::sts_enforce_unlisted:
      return sts("is not listed and must not be used (RFC 8461 section 4.1)");
    case Finding::sts_testing:
      return sts("is listed; faults are only reported (RFC 8461 section 5)");
    case Finding::sts_testing_unlisted:
      return sts("is not listed; testing mode only reports that (RFC 8461 section 5)");
    case Finding::dane_usable:
      return fmt::format(
          "DANE: the certificate of {} must match its TLSA records "
          "(RFC 7672 section 2.2)",
          host);
    case Finding::dane_unusable:
      return fmt::format(
          "DANE: {} has TLSA records, but none that can be used; TLS is a must, "
          "with any certificate (RFC 7672 section 2.2)",
          host);
    case Finding::dane_lookup_failed:
      return fmt::format(
          "DANE: whether {} has TLSA records could not be learned, so it must not "
          "be used (RFC 7672 section 2.2)",
          host);
    case Finding::dane_over_sts:
      return "the MX records are secure and DANE decides (RFC 8461 section 2)";
    case Finding::dane_and_sts:
      return "both DANE and MTA-STS must be satisfied (RFC 8461 section 2)";
    case Finding::local_plaintext:
      return local("asks for no TLS");
    case Finding::local_encrypt:
      return local("demands TLS, with any certificate");
    case Finding::local_verify:
      return local("demands a valid certificate for the host's name");
    case Finding::local_dane_only:
      return local("demands DANE");
    case Finding::local_dane_only_insecure:
      return "the MX records are not secure (RFC 7672 section 2.2.1)";
    case Finding::local_fingerprint:
      return local("demands a certificate or key with a listed fingerprint");
    case Finding::local_pin:
      return local(fmt::format("lists host {}, which must prove its name", host));
    case Finding::local_pin_unlisted:
      return local(fmt::format("does not list host {}, which must not be used", host));
    case Finding::local_exemption:
      return local("exempts the domain from every TLS policy for now");
    case Finding::local_report_only:
      return local("is report-only: what it would refuse is only counted");
    case Finding::requiretls:
      return fmt::format(
          "the sender demands REQUIRETLS: {} must prove its name and announce "
          "REQUIRETLS (RFC 8689 section 4.2.1)",
          host);
    case Finding::requiretls_untrusted:
      return fmt::format(
          "the sender demands REQUIRETLS, and neither DNSSEC nor an MTA-STS policy "
          "vouches for host {} (RFC 8689 section 4.2.1)",
          host);
    case Finding::tls_required_no:
      return "the message says TLS-Required: No: TLS is tried, its policies are not demanded "
             "(RFC 8689 section 4.2.2)";
  }
  return {};
}

}  // namespace

std::string_view name(Refusal refusal) {
  switch (refusal) {
    case Refusal::none:
      return "none";
    case Refusal::mx_not_in_policy:
      return "mx-not-in-policy";
    case Refusal::mx_not_pinned:
      return "mx-not-pinned";
    case Refusal::tlsa_lookup_failed:
      return "tlsa-lookup-failed";
    case Refusal::dane_required:
      return "dane-required";
    case Refusal::mx_not_trusted:
      return "requiretls-mx-not-trusted";
  }
  return {};
}

HostDecision decide(const TlsInputs& inputs, const HostDane* dane, std::string_view mx_host) {
  HostDecision decision;
  Demand demand = weigh_policies(inputs, dane, mx_host, decision);
  if (inputs.rule != nullptr && inputs.rule->effect == LocalRule::Effect::report_only) {
    decision.add(Finding::local_report_only);
    decision.refusal_unenforced = demand.refusal;
    decision.unenforced = demand.requirement();
    demand = waived(demand);
  }
  switch (inputs.message) {
    case spool::MessageTls::normal:
      break;
    case spool::MessageTls::required:
      weigh_requiretls(inputs, dane, decision, demand);
      break;
    case spool::MessageTls::optional:
      decision.add(Finding::tls_required_no);
      demand = waived(demand);
      break;
  }
  set_result(inputs, demand, decision);
  return decision;
}

std::string explain(const HostDecision& decision, const TlsInputs& inputs,
                    std::string_view mx_host) {
  std::string text;
  for (const Finding finding : decision.findings()) {
    text += text.empty() ? "" : "; ";
    const bool alone = decision.findings().size() == 1;
    text += finding == Finding::no_policy && !alone ? "no MTA-STS policy"
                                                    : sentence(finding, inputs, mx_host);
  }
  return text;
}

bool would_refuse(const HostDecision& decision, const net::TlsOutcome* outcome) {
  if (!decision.unenforced) {
    return false;
  }
  return decision.refusal_unenforced != Refusal::none ||
         (outcome != nullptr && !decision.unenforced->met_by(*outcome));
}

bool failures_stay_temporary(const TlsInputs& inputs) {
  if (exempted(inputs.rule.get())) {
    return false;
  }
  return (inputs.policy != nullptr && inputs.policy->policy.mode == sts::Mode::enforce) ||
         (inputs.rule != nullptr && !inputs.rule->mx.empty());
}

bool exempted(const LocalRule* rule) {
  return rule != nullptr && rule->purpose == LocalRule::Purpose::exemption;
}

bool same_policy(const sts::CachedPolicy* a, const sts::CachedPolicy* b) {
  if (a == nullptr || b == nullptr) {
    return a == b;
  }
  return a->id == b->id && a->policy.body == b->policy.body;
}

}  // namespace relay::delivery
