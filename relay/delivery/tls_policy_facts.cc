// What follows from a decision or goes into one: whose word counts, what may fail for good.
#include <memory>

#include "relay/delivery/tls_policy.h"
#include "sts/policy.h"

namespace relay::delivery {

MessageKind kind_of(const spool::Envelope& envelope) {
  if (envelope.origin == spool::Origin::report) {
    return MessageKind::tls_report;
  }
  return envelope.sender.empty() ? MessageKind::bounce : MessageKind::mail;
}

spool::MessageTls demanded(const TlsInputs& inputs) {
  switch (inputs.kind) {
    case MessageKind::mail:
      break;
    case MessageKind::bounce:
      // One that insists on REQUIRETLS would be lost: it asks where it can (RFC 8689 §5).
      return inputs.message == spool::MessageTls::required ? spool::MessageTls::normal
                                                           : inputs.message;
    case MessageKind::tls_report:
      return spool::MessageTls::optional;  // RFC 8460 §3
  }
  return inputs.message;
}

std::shared_ptr<const LocalRule> rule_in_force(const std::shared_ptr<const LocalRule>& found,
                                               const sts::CachedPolicy* policy) {
  const bool over = policy != nullptr && found != nullptr && found->after_first_contact != nullptr;
  return over ? found->after_first_contact : found;
}

bool would_refuse(const HostDecision& decision, const net::TlsOutcome* outcome) {
  if (!decision.unenforced) {
    return false;
  }
  return decision.refusal_unenforced != Refusal::none ||
         (outcome != nullptr && !decision.unenforced->met_by(*outcome));
}

bool failures_stay_temporary(const TlsInputs& inputs) {
  const auto rule = rule_in_force(inputs.rule, inputs.policy);
  if (exempted(rule.get())) {
    return false;
  }
  return (inputs.policy != nullptr && inputs.policy->policy.mode == sts::Mode::enforce) ||
         (rule != nullptr && !rule->mx.empty());
}

bool policy_matters(const TlsInputs& inputs) {
  return !exempted(inputs.rule.get()) && demanded(inputs) != spool::MessageTls::optional;
}

bool passes_on_requiretls(const spool::Envelope& envelope,
                          const smtp::TlsRequirement& requirement) {
  return envelope.tls == spool::MessageTls::required && requirement.authenticates();
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
