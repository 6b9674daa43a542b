// The decision in words: each input, the rule with its RFC and section, the result.
#include <algorithm>

#include <fmt/format.h>

#include "conf/tls_rules.h"
#include "relay/delivery/tls_policy.h"

namespace relay::delivery {
namespace {

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

std::string end_text(const LocalRule* rule) {
  return rule != nullptr && rule->until ? fmt::format(" until {}", conf::to_text(*rule->until))
                                        : " until it is taken back";
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
    case Finding::dane_denied:
      return fmt::format("DANE: {} has no TLSA records, as DNSSEC proves (RFC 7672 section 2.2)",
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
      return local(
          fmt::format("exempts the domain from every TLS policy{}", end_text(inputs.rule.get())));
    case Finding::sts_suspended:
      return fmt::format("{} is suspended by that", mode_text(*inputs.policy));
    case Finding::local_preload_over:
      return "the preloaded MX hosts give way to the domain's own policy";
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
    case Finding::requiretls_bounce:
      return "a bounce asks for REQUIRETLS where it can and goes without elsewhere "
             "(RFC 8689 section 5)";
    case Finding::tls_report:
      return "the message is a TLS report: TLS is tried, its policies are not demanded "
             "(RFC 8460 section 3)";
    case Finding::tls_required_no:
      return "the message says TLS-Required: No: TLS is tried, its policies are not demanded "
             "(RFC 8689 section 4.2.2)";
    case Finding::upstream_plaintext:
      return "the route asks for no TLS at this upstream";
    case Finding::upstream_implicit:
      return fmt::format("the route has TLS begin with the connection to {} (RFC 8314 section 3.3)",
                         host);
    case Finding::upstream_level:
      return fmt::format("the route demands {} of {}", conf::name(*inputs.upstream->level), host);
    case Finding::upstream_credentials:
      return fmt::format(
          "{} gets credentials, so it must prove its name by a valid certificate (RFC 4954 "
          "section 4)",
          host);
    case Finding::upstream_credentials_exposed:
      return fmt::format("{} gets credentials without having to prove its name (send_over)", host);
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

std::string explain(const HostDecision& decision, const TlsInputs& inputs,
                    std::string_view mx_host) {
  TlsInputs weighed = inputs;
  weighed.rule = rule_in_force(inputs.rule, inputs.policy);
  const auto findings = decision.findings();
  const bool nothing_demanded = std::all_of(findings.begin(), findings.end(), [](Finding finding) {
    return finding == Finding::no_policy || finding == Finding::dane_denied;
  });
  std::string text;
  for (const Finding finding : findings) {
    text += text.empty() ? "" : "; ";
    text += finding == Finding::no_policy && !nothing_demanded
                ? "no MTA-STS policy"
                : sentence(finding, weighed, mx_host);
  }
  return text;
}

}  // namespace relay::delivery
