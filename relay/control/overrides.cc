#include "relay/control/overrides.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "conf/tls_rules.h"
#include "relay/control/timestamp.h"
#include "relay/delivery/rule_book.h"
#include "relay/net/domain_name.h"

namespace relay::control {
namespace {

using Json = nlohmann::ordered_json;

Unexpected<std::string> wrong(std::string_view what, std::string_view text,
                              std::string_view expectation) {
  return Unexpected<std::string>(fmt::format("{}: \"{}\" {}", what, text, expectation));
}

/// The texts in their canonical form; the first that is none is the error.
Expected<std::vector<std::string>, std::string> parsed(
    std::string_view what, const std::vector<std::string>& texts,
    std::optional<std::string> (*parse)(std::string_view), std::string_view expectation) {
  std::vector<std::string> result;
  for (const std::string& text : texts) {
    auto canonical = parse(text);
    if (!canonical) {
      return wrong(what, text, expectation);
    }
    result.push_back(std::move(*canonical));
  }
  return result;
}

Expected<conf::TlsRule, std::string> to_rule(const OverrideSet& request) {
  conf::TlsRule rule;
  rule.level = conf::parse_tls_level(request.level);
  if (!rule.level && !request.level.empty()) {
    return wrong("level", request.level, conf::kNoLevel);
  }
  auto mx = parsed("mx", request.mx, conf::parse_mx_pattern, conf::kNoMxPattern);
  auto fingerprints =
      parsed("fingerprint", request.fingerprints, conf::parse_fingerprint, conf::kNoFingerprint);
  if (!mx || !fingerprints) {
    return Unexpected<std::string>(mx ? fingerprints.error() : mx.error());
  }
  rule.mx = std::move(*mx);
  rule.fingerprints = std::move(*fingerprints);
  rule.until = conf::parse_moment(request.until);
  if (!rule.until && !request.until.empty()) {
    return wrong("until", request.until, conf::kNoMoment);
  }
  if (!conf::is_reason(request.reason)) {
    return wrong("reason", request.reason, conf::kNoReason);
  }
  rule.reason = request.reason;
  rule.report_only = request.report_only;
  return rule;
}

Json listed_view(const delivery::LocalRules::Listed& listed) {
  const delivery::LocalRule& rule = *listed.rule;
  return {{"domain", listed.domain},
          {"level", conf::name(rule.level)},
          {"until", rule.until ? Json(to_rfc3339(*rule.until)) : Json()},
          {"reason", rule.reason},
          {"report_only", rule.effect == delivery::LocalRule::Effect::report_only},
          {"rule", rule.origin}};
}

Json listed_views(const std::vector<delivery::LocalRules::Listed>& rules) {
  Json views = Json::array();
  for (const auto& listed : rules) {
    views.push_back(listed_view(listed));
  }
  return views;
}

}  // namespace

std::optional<std::string> rule_domain(const std::string& text) {
  constexpr std::string_view kWildcard = "*.";
  const bool wildcard = text.starts_with(kWildcard);
  const auto name = net::DomainName::parse(wildcard ? text.substr(kWildcard.size()) : text);
  if (!name) {
    return std::nullopt;
  }
  return conf::parse_rule_domain(fmt::format("{}{}", wildcard ? kWildcard : "", name->text()));
}

Expected<spool::PolicyOverride, std::string> to_override(const OverrideSet& request,
                                                         net::WallTime now) {
  const auto domain = rule_domain(request.domain);
  if (!domain) {
    return wrong("domain", request.domain, conf::kNoRuleDomain);
  }
  auto rule = to_rule(request);
  if (!rule) {
    return Unexpected<std::string>(rule.error());
  }
  if (const auto fault = conf::fault_of(*rule)) {
    return Unexpected<std::string>(
        fmt::format("{}: {}", fault->key.empty() ? *domain : fault->key, fault->reason));
  }
  if (rule->until && *rule->until <= now) {
    return wrong("until", request.until, "is over already");
  }
  spool::PolicyOverride result;
  result.domain = *domain;
  result.level = conf::name(rule->effective_level());
  result.mx = std::move(rule->mx);
  result.fingerprints = std::move(rule->fingerprints);
  result.until = rule->until;
  result.reason = std::move(rule->reason);
  result.effect = rule->report_only ? spool::PolicyOverride::Effect::report_only
                                    : spool::PolicyOverride::Effect::enforced;
  result.by = request.by;
  result.set_at = now;
  return result;
}

Json override_view(const spool::PolicyOverride& rule, net::WallTime now) {
  return {{"domain", rule.domain},
          {"level", rule.level},
          {"mx", rule.mx},
          {"fingerprints", rule.fingerprints},
          {"until", rule.until ? Json(to_rfc3339(*rule.until)) : Json()},
          {"reason", rule.reason},
          {"report_only", rule.effect == spool::PolicyOverride::Effect::report_only},
          {"by", rule.by},
          {"set_at", to_rfc3339(rule.set_at)},
          {"over", rule.until && *rule.until <= now}};
}

Json tls_policy_view(const StatusFacts& facts, net::WallTime now) {
  const delivery::LocalRules& rules = *facts.rules;
  const delivery::LocalRule& otherwise = rules.default_rule();
  Json domains = Json::array();
  for (const auto& [domain, count] : facts.would_refuse_domains) {
    domains.push_back({{"domain", domain}, {"count", count}});
  }
  return {{"default", conf::name(otherwise.level)},
          {"report_only", otherwise.effect == delivery::LocalRule::Effect::report_only},
          {"rules", rules.size()},
          {"preloaded", rules.preloaded()},
          {"exemptions", listed_views(rules.exemptions(now))},
          {"ended", listed_views(rules.ended(now - delivery::kEndedRulesShown, now))},
          {"would_refuse", Json{{"total", facts.would_refuse}, {"domains", std::move(domains)}}}};
}

}  // namespace relay::control
