#include "relay/delivery/tls_policy.h"

#include <algorithm>
#include <memory>
#include <utility>

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
    if (dane == nullptr) {
      return result;
    }
    // A certificate that has to prove the MX host's name is asked for by that name (RFC 8461 §7.1);
    // where the TLSA records decide alone, by their base domain (RFC 7672 §8.1).
    using Sni = smtp::TlsRequirement::Sni;
    return result.with_dane(dane, level == Level::verified ? Sni::mx_host : Sni::tlsa_base);
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
    case HostDane::State::denied:
      decision.add(Finding::dane_denied);
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
    if (inputs.policy != nullptr && inputs.policy->policy.mode != sts::Mode::none) {
      decision.add(Finding::sts_suspended);
    }
    return demand;
  }
  weigh_dane(dane, decision, demand);
  weigh_sts(inputs, dane, mx_host, decision, demand);
  weigh_level(inputs, dane, decision, demand);
  weigh_pin(inputs, dane, mx_host, decision, demand);
  return demand;
}

Demand::Level level_for(conf::UpstreamAuth::SendOver least, Demand::Level verified) {
  switch (least) {
    case conf::UpstreamAuth::SendOver::verified:
      return verified;
    case conf::UpstreamAuth::SendOver::encrypted:
      return Demand::Level::encrypted;
    case conf::UpstreamAuth::SendOver::plaintext:
      return Demand::Level::nothing;
  }
  return verified;
}

Demand::Level level_for(LocalLevel level, Demand::Level verified) {
  switch (level) {
    case LocalLevel::none:
    case LocalLevel::opportunistic:
    case LocalLevel::dane:
      return Demand::Level::nothing;
    case LocalLevel::encrypt:
      return Demand::Level::encrypted;
    case LocalLevel::verify:
    case LocalLevel::dane_only:
    case LocalLevel::fingerprint:
      return verified;
  }
  return verified;
}

// What a route says of its upstream is between us and that host: no message, exemption or
// report-only rule waives it, or credentials would go to anybody (RFC 4954 §4, RFC 8314 §3.3).
void weigh_upstream(const TlsInputs& inputs, const HostDane* dane, HostDecision& decision,
                    Demand& demand) {
  if (inputs.upstream == nullptr) {
    return;
  }
  const conf::Upstream& upstream = *inputs.upstream;
  const Demand::Level verified = demand.dane != nullptr && dane_authenticates(inputs, dane)
                                     ? Demand::Level::encrypted
                                     : Demand::Level::verified;
  if (upstream.effective_tls() == conf::Upstream::Tls::implicit) {
    decision.add(Finding::upstream_implicit);
    demand.raise(Demand::Level::encrypted);
  }
  if (upstream.level && level_for(*upstream.level, verified) != Demand::Level::nothing) {
    decision.add(Finding::upstream_level);
    demand.raise(level_for(*upstream.level, verified));
  }
  if (upstream.auth) {
    const auto least = upstream.auth->send_over;
    decision.add(least == conf::UpstreamAuth::SendOver::verified
                     ? Finding::upstream_credentials
                     : Finding::upstream_credentials_exposed);
    demand.raise(level_for(least, verified));
  }
}

bool wants_plaintext(const TlsInputs& inputs) {
  return level_of(inputs.rule.get()) == LocalLevel::none ||
         (inputs.upstream != nullptr && inputs.upstream->level == LocalLevel::none);
}

void set_result(const TlsInputs& inputs, const Demand& demand, HostDecision& decision) {
  decision.refusal = demand.refusal;
  if (demand.refusal != Refusal::none) {
    return;
  }
  if (wants_plaintext(inputs) && demand.level == Demand::Level::nothing &&
      demanded(inputs) == spool::MessageTls::normal) {
    decision.add(level_of(inputs.rule.get()) == LocalLevel::none ? Finding::local_plaintext
                                                                 : Finding::upstream_plaintext);
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

// What the message itself asks for.
Demand weigh_message(const TlsInputs& inputs, const HostDane* dane, Demand demand,
                     HostDecision& decision) {
  switch (demanded(inputs)) {
    case spool::MessageTls::normal:
      if (inputs.message == spool::MessageTls::required) {
        decision.add(Finding::requiretls_bounce);
      }
      return demand;
    case spool::MessageTls::required:
      weigh_requiretls(inputs, dane, decision, demand);
      return demand;
    case spool::MessageTls::optional:
      decision.add(inputs.kind == MessageKind::tls_report ? Finding::tls_report
                                                          : Finding::tls_required_no);
      return waived(demand);
  }
  return demand;
}

}  // namespace

HostDecision decide(const TlsInputs& inputs, const HostDane* dane, std::string_view mx_host) {
  HostDecision decision;
  TlsInputs weighed = inputs;
  weighed.rule = rule_in_force(inputs.rule, inputs.policy);
  if (weighed.rule != inputs.rule) {
    decision.add(Finding::local_preload_over);
  }
  Demand demand = weigh_policies(weighed, dane, mx_host, decision);
  if (weighed.rule != nullptr && weighed.rule->effect == LocalRule::Effect::report_only) {
    decision.add(Finding::local_report_only);
    decision.refusal_unenforced = demand.refusal;
    decision.unenforced = demand.requirement();
    demand = waived(demand);
  }
  demand = weigh_message(weighed, dane, std::move(demand), decision);
  weigh_upstream(weighed, dane, decision, demand);
  set_result(weighed, demand, decision);
  return decision;
}

}  // namespace relay::delivery
