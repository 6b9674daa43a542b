// The one place that decides what TLS a session with an MX host needs. It composes MTA-STS
// (RFC 8461 §4, §5), DANE (RFC 7672 §2.2), REQUIRETLS and TLS-Required (RFC 8689), and the
// operator's rules into one requirement per (policy domain, MX host, message). Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "conf/routes.h"
#include "relay/delivery/dane.h"
#include "relay/delivery/local_rules.h"
#include "relay/smtp/tls_requirement.h"
#include "relay/spool/message.h"
#include "sts/policy_cache.h"

namespace relay::delivery {

/// Which of DANE and MTA-STS decides for a host whose secure MX RRset leads to usable TLSA records.
enum class Composition {
  dane_decides,  ///< DANE alone; what MTA-STS would have said is reported (RFC 8461 §2)
  both,          ///< the host must satisfy both
};

/// What is sent, as far as it matters for TLS.
enum class MessageKind {
  mail,
  bounce,      ///< null reverse-path
  tls_report,  ///< made by this relay (RFC 8460 §3)
};
[[nodiscard]] MessageKind kind_of(const spool::Envelope& envelope);

/// Everything that has a say.
struct TlsInputs {
  const sts::CachedPolicy* policy = nullptr;  ///< in force for the policy domain, or null
  std::shared_ptr<const LocalRule> rule{};    ///< as found for the domain; null: opportunistic
  spool::MessageTls message = spool::MessageTls::normal;  ///< what its sender says
  MxOrigin mx = MxOrigin::insecure;
  Composition composition = Composition::dane_decides;
  MessageKind kind = MessageKind::mail;
  const conf::Upstream* upstream = nullptr;  ///< the entry of a route; null: none
};

/// What counts of the sender's word: a bounce does not insist, a TLS report needs nothing.
[[nodiscard]] spool::MessageTls demanded(const TlsInputs& inputs);

/// The rule that counts: a preloaded pin yields as soon as a policy of the domain itself is known.
/// policy: null: none is.
[[nodiscard]] std::shared_ptr<const LocalRule> rule_in_force(
    const std::shared_ptr<const LocalRule>& found, const sts::CachedPolicy* policy);

/// Whether the policy's mx patterns hold the MX host.
enum class Coverage { no_policy, covered, uncovered };

/// Why a host must not be used.
enum class Refusal {
  none,
  mx_not_in_policy,    ///< RFC 8461 §4.1
  mx_not_pinned,       ///< the operator's list
  tlsa_lookup_failed,  ///< RFC 7672 §2.2
  dane_required,       ///< the operator wants DANE, the host has no usable secure records
  mx_not_trusted,      ///< RFC 8689 §4.2.1: REQUIRETLS and nobody vouches for the MX name
};
[[nodiscard]] std::string_view name(Refusal refusal);  ///< "mx-not-in-policy" …

/// What one input contributed, in the order it was weighed.
enum class Finding : std::uint8_t {
  no_policy,
  sts_none,
  sts_enforce,
  sts_enforce_unlisted,
  sts_testing,
  sts_testing_unlisted,
  sts_suspended,
  dane_denied,
  dane_usable,
  dane_unusable,
  dane_lookup_failed,
  dane_over_sts,
  dane_and_sts,
  local_plaintext,
  local_encrypt,
  local_verify,
  local_dane_only,
  local_dane_only_insecure,
  local_fingerprint,
  local_pin,
  local_pin_unlisted,
  local_exemption,
  local_preload_over,
  local_report_only,
  requiretls,
  requiretls_untrusted,
  requiretls_bounce,
  tls_report,
  tls_required_no,
  upstream_plaintext,
  upstream_implicit,
  upstream_level,
  upstream_credentials,
  upstream_credentials_exposed,
};

/// The verdict for one MX host of one policy domain and one message.
struct HostDecision {
  /// What a session must achieve; nullopt: the host must not be connected to.
  std::optional<smtp::TlsRequirement> requirement;
  Refusal refusal = Refusal::none;
  Coverage coverage = Coverage::no_policy;
  /// Report-only: what would be demanded if the rules were enforced; refusal_unenforced is set when
  /// the host would not be used at all.
  std::optional<smtp::TlsRequirement> unenforced;
  Refusal refusal_unenforced = Refusal::none;

  [[nodiscard]] std::span<const Finding> findings() const { return {findings_.data(), count_}; }
  void add(Finding finding) { findings_.at(count_++) = finding; }

 private:
  std::array<Finding, 16> findings_{};
  std::size_t count_ = 0;
};

/// mx_host: the host name of the MX record (not a CNAME target), or the domain itself for an
/// implicit MX. dane: null where it was not looked for.
[[nodiscard]] HostDecision decide(const TlsInputs& inputs, const HostDane* dane,
                                  std::string_view mx_host);

/// Whether TLSA records must be looked for before a host can be refused: they may vouch for one
/// that the policy does not list.
[[nodiscard]] inline bool dane_first(const TlsInputs& inputs) {
  return inputs.mx == MxOrigin::secure && inputs.composition == Composition::dane_decides;
}

/// The decision in sentences: each input, the rule with its RFC and section, the result.
[[nodiscard]] std::string explain(const HostDecision& decision, const TlsInputs& inputs,
                                  std::string_view mx_host);

/// Whether a session with this outcome would have been refused if report-only were off.
[[nodiscard]] bool would_refuse(const HostDecision& decision, const net::TlsOutcome* outcome);

/// Whether what DNS says about the domain must not make a failure permanent (RFC 8461 §5.1).
[[nodiscard]] bool failures_stay_temporary(const TlsInputs& inputs);

/// Whether a message must wait where it is unknown which policy there is.
[[nodiscard]] bool policy_matters(const TlsInputs& inputs);

/// Whether the REQUIRETLS parameter goes along: only to a server that has to prove its name, in a
/// bounce too (RFC 8689 §2, §5).
[[nodiscard]] bool passes_on_requiretls(const spool::Envelope& envelope,
                                        const smtp::TlsRequirement& requirement);

/// Whether the operator has taken the policy out of force for now.
[[nodiscard]] bool exempted(const LocalRule* rule);

/// Whether two verdicts ask for the same: used when a policy is looked at again after failure.
[[nodiscard]] bool same_policy(const sts::CachedPolicy* a, const sts::CachedPolicy* b);

}  // namespace relay::delivery
