// What the operator says about the TLS of policy domains: levels, pins, exemptions, and the texts
// that these are written as, in the configuration and on the command line. Pure.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conf {

/// A moment in UTC.
using Moment = std::chrono::sys_time<std::chrono::milliseconds>;

enum class TlsLevel { none, opportunistic, encrypt, verify, dane, dane_only, fingerprint };
inline constexpr std::array<std::string_view, 7> kTlsLevelNames{
    "none", "opportunistic", "encrypt", "verify", "dane", "dane-only", "fingerprint"};
[[nodiscard]] std::string_view name(TlsLevel level);
[[nodiscard]] std::optional<TlsLevel> parse_tls_level(std::string_view text);

/// What is said about one policy domain, or about all domains below one.
struct TlsRule {
  std::optional<TlsLevel> level;          ///< absent: what mx and fingerprints imply
  std::vector<std::string> mx;            ///< a pin: only these hosts, verified; lower case
  std::vector<std::string> fingerprints;  ///< lower-case hex SHA-256 of certificate or key
  std::optional<Moment> until;            ///< from then on as if the rule were not there
  std::string reason;
  bool report_only = false;

  [[nodiscard]] TlsLevel effective_level() const;
  /// Takes the published policies of the domain out of force.
  [[nodiscard]] bool exempts() const;
  friend bool operator==(const TlsRule&, const TlsRule&) = default;
};

/// What a rule lacks or contradicts, if anything.
struct RuleFault {
  std::string key;     ///< the member that is at fault; "": the whole rule
  std::string reason;  ///< and what to do
};
[[nodiscard]] std::optional<RuleFault> fault_of(const TlsRule& rule);

struct TlsPolicy {
  TlsLevel default_level = TlsLevel::opportunistic;
  bool report_only = false;  ///< everything: nothing is refused, only counted
  enum class DaneWithSts { dane, both } dane_with_sts = DaneWithSts::dane;
  /// Of MX hosts and of policy hosts: by the OCSP responses that they staple, or not at all.
  enum class Revocation { off, stapled } revocation = Revocation::stapled;
  std::string preload;                     ///< a file of pins for first contact; empty: none
  std::map<std::string, TlsRule> domains;  ///< "example.com" or "*.example.com", lower case
  friend bool operator==(const TlsPolicy&, const TlsPolicy&) = default;
};

/// "2026-12-31", which ends with that day, or "2026-12-31T12:00:00Z".
[[nodiscard]] std::optional<Moment> parse_moment(std::string_view text);
/// The shorter form where it says the same.
[[nodiscard]] std::string to_text(Moment moment);
/// 64 hex digits, colons between octets allowed; answer: lower case without colons.
[[nodiscard]] std::optional<std::string> parse_fingerprint(std::string_view text);
/// "mx.example.com" or "*.example.com" (RFC 8461 §3.2); answer: lower case.
[[nodiscard]] std::optional<std::string> parse_mx_pattern(std::string_view text);
/// The key of a rule: "example.com" or "*.example.com"; answer: lower case.
[[nodiscard]] std::optional<std::string> parse_rule_domain(std::string_view text);

// What is accepted, for who wrote something else: "\"…\" is no level; …".
inline constexpr std::string_view kNoLevel =
    "is not known; write one of none, opportunistic, encrypt, verify, dane, dane-only, fingerprint";
inline constexpr std::string_view kNoMoment =
    "is no date; write for example 2026-12-31 (to the end of that day, UTC) or "
    "2026-12-31T12:00:00Z";
inline constexpr std::string_view kNoFingerprint =
    "is no SHA-256 fingerprint; write 64 hex digits, with or without colons";
inline constexpr std::string_view kNoMxPattern =
    "is no MX host; write mx.example.com, or *.example.com for every name one label below it";
inline constexpr std::string_view kNoRuleDomain =
    "is no policy domain; write example.com or *.example.com (internationalised names in their "
    "xn-- form, without a trailing dot)";
inline constexpr std::string_view kNoReason =
    "is too long or has control characters; write one line of at most 500 octets";
[[nodiscard]] bool is_reason(std::string_view text);

}  // namespace conf
