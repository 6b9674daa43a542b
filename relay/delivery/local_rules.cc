#include "relay/delivery/local_rules.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace relay::delivery {
namespace {

constexpr std::string_view kWildcard = "*.";

std::vector<sts::MxPattern> patterns(const std::vector<std::string>& texts) {
  std::vector<sts::MxPattern> result;
  for (const std::string& text : texts) {
    auto pattern = sts::MxPattern::parse(text);
    if (!pattern) {
      // A pin without its hosts would let every host pass.
      throw std::invalid_argument(fmt::format("\"{}\" is no MX pattern", text));
    }
    result.push_back(std::move(*pattern));
  }
  return result;
}

LocalRule::Purpose purpose_of(const conf::TlsRule& rule) {
  if (rule.exempts()) {
    return LocalRule::Purpose::exemption;
  }
  return rule.mx.empty() ? LocalRule::Purpose::rule : LocalRule::Purpose::pin;
}

LocalRule::Effect effect_of(bool report_only) {
  return report_only ? LocalRule::Effect::report_only : LocalRule::Effect::enforced;
}

LocalRule to_rule(const conf::TlsRule& written, std::string origin) {
  LocalRule rule;
  rule.level = written.effective_level();
  rule.mx = patterns(written.mx);
  rule.fingerprints = written.fingerprints;
  rule.purpose = purpose_of(written);
  rule.until = written.until;
  rule.reason = written.reason;
  rule.effect = effect_of(written.report_only);
  rule.origin = std::move(origin);
  return rule;
}

conf::TlsRule as_written(const spool::PolicyOverride& set) {
  conf::TlsRule rule;
  rule.level = conf::parse_tls_level(set.level);
  if (!rule.level) {
    throw std::invalid_argument(
        fmt::format("the override of {} has the unknown level \"{}\"", set.domain, set.level));
  }
  rule.mx = set.mx;
  rule.fingerprints = set.fingerprints;
  rule.until = set.until;
  rule.reason = set.reason;
  rule.report_only = set.effect == spool::PolicyOverride::Effect::report_only;
  return rule;
}

}  // namespace

void LocalRules::Table::add(const std::string& domain, const Rule& rule) {
  if (domain.starts_with(kWildcard)) {
    below[domain.substr(kWildcard.size())] = rule;
  } else {
    exact[domain] = rule;
  }
}

const LocalRules::Rule* LocalRules::Table::given_for(std::string_view domain) const {
  const bool wildcard = domain.starts_with(kWildcard);
  const ByName& names = wildcard ? below : exact;
  const auto found = names.find(wildcard ? domain.substr(kWildcard.size()) : domain);
  return found == names.end() ? nullptr : &found->second;
}

const LocalRules::Rule* LocalRules::Table::find(std::string_view domain, net::WallTime now) const {
  const auto same = exact.find(domain);
  if (same != exact.end() && !same->second->over(now)) {
    return &same->second;
  }
  if (below.empty()) {
    return nullptr;
  }
  for (auto dot = domain.find('.'); dot != std::string_view::npos; dot = domain.find('.')) {
    domain.remove_prefix(dot + 1);
    const auto found = below.find(domain);
    if (found != below.end() && !found->second->over(now)) {
      return &found->second;
    }
  }
  return nullptr;
}

LocalRules::LocalRules() : LocalRules(Sources{{}, {}, {}}) {}

LocalRules::LocalRules(const Sources& sources) {
  const LocalRule::Effect effect = effect_of(sources.policy.report_only);
  LocalRule otherwise;
  otherwise.level = sources.policy.default_level;
  otherwise.effect = effect;
  otherwise.origin = "tls_policy.default";
  default_ = std::make_shared<const LocalRule>(std::move(otherwise));
  const auto everywhere = [effect](LocalRule rule) {
    if (effect == LocalRule::Effect::report_only) {
      rule.effect = effect;
    }
    return rule;
  };
  for (const spool::PolicyOverride& set : sources.overrides) {
    add(overrides_, set.domain, everywhere(to_rule(as_written(set), "override")));
  }
  for (const auto& [domain, written] : sources.policy.domains) {
    add(configured_, domain,
        everywhere(to_rule(written, fmt::format("tls_policy.domains.{}", domain))));
  }
  for (const auto& [domain, entry] : sources.preload) {
    conf::TlsRule pin;
    pin.mx = entry.mx;
    pin.until = entry.until;
    LocalRule rule = everywhere(to_rule(pin, "preload"));
    rule.after_first_contact = default_;
    preload_[domain] = std::make_shared<const LocalRule>(std::move(rule));
  }
}

void LocalRules::add(Table& table, const std::string& domain, LocalRule rule) {
  const auto shared = std::make_shared<const LocalRule>(std::move(rule));
  table.add(domain, shared);
  listed_.push_back({domain, shared});
}

std::shared_ptr<const LocalRule> LocalRules::find(std::string_view policy_domain,
                                                  net::WallTime now) const {
  if (const Rule* const rule = overrides_.find(policy_domain, now)) {
    return *rule;
  }
  if (const Rule* const rule = configured_.find(policy_domain, now)) {
    return *rule;
  }
  const auto preloaded = preload_.find(policy_domain);
  if (preloaded != preload_.end() && !preloaded->second->over(now)) {
    return preloaded->second;
  }
  return default_;
}

std::shared_ptr<const LocalRule> LocalRules::find(
    const std::optional<net::DomainName>& policy_domain, net::WallTime now) const {
  return policy_domain ? find(policy_domain->text(), now) : default_;
}

std::vector<LocalRules::Listed> LocalRules::exemptions(net::WallTime now) const {
  std::vector<Listed> result;
  for (const Listed& listed : listed_) {
    const Rule* const override_rule = overrides_.given_for(listed.domain);
    const bool replaced =
        override_rule != nullptr && *override_rule != listed.rule && !(*override_rule)->over(now);
    // With report_only for everything, nothing is a special case.
    const bool waives = listed.rule->purpose == LocalRule::Purpose::exemption ||
                        (listed.rule->effect == LocalRule::Effect::report_only &&
                         default_->effect == LocalRule::Effect::enforced);
    if (waives && !listed.rule->over(now) && !replaced) {
      result.push_back(listed);
    }
  }
  return result;
}

std::vector<LocalRules::Listed> LocalRules::ended(net::WallTime since, net::WallTime now) const {
  std::vector<Listed> result;
  for (const Listed& listed : listed_) {
    if (listed.rule->over(now) && *listed.rule->until > since) {
      result.push_back(listed);
    }
  }
  return result;
}

std::optional<net::WallTime> LocalRules::next_end(net::WallTime now) const {
  std::optional<net::WallTime> next;
  for (const Listed& listed : listed_) {
    const auto& until = listed.rule->until;
    if (until && *until > now && (!next || *until < *next)) {
      next = until;
    }
  }
  return next;
}

}  // namespace relay::delivery
