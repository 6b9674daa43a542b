#include "relay/delivery/rule_book.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace relay::delivery {
namespace {

/// Bounded, so that a step of the wall clock is noticed.
constexpr std::chrono::hours kLongestUntilLook{1};
constexpr std::chrono::seconds kShortestUntilLook{1};

std::string until_text(const std::optional<net::WallTime>& until) {
  return until ? conf::to_text(*until) : "";
}

std::vector<LogField> describe(const LocalRules::Listed& listed) {
  const LocalRule& rule = *listed.rule;
  return {{"domain", listed.domain},
          {"tls_level", std::string(conf::name(rule.level))},
          {"effect", rule.effect == LocalRule::Effect::report_only ? "report-only" : ""},
          {"until", until_text(rule.until)},
          {"reason", rule.reason},
          {"rule", rule.origin}};
}

}  // namespace

RuleBook::RuleBook(const Parts& parts, conf::TlsPolicy policy, conf::Preload preload,
                   std::vector<spool::PolicyOverride> stored)
    : loop_(parts.loop),
      clock_(parts.clock),
      spool_(parts.spool),
      log_(parts.log),
      policy_(std::move(policy)),
      preload_(std::move(preload)),
      overrides_(std::move(stored)),
      looked_at_(clock_.wall()),
      wake_(loop_, [this] { look_for_ends(); }) {
  rebuild();
  look_for_ends();
}

void RuleBook::configure(conf::TlsPolicy policy, conf::Preload preload) {
  policy_ = std::move(policy);
  preload_ = std::move(preload);
  rebuild();
  look_for_ends();
}

void RuleBook::announce() {
  if (policy_.report_only) {
    log_.warning("tls-report-only",
                 {{"detail",
                   "tls_policy.report_only is set: NO TLS POLICY IS ENFORCED, mail goes out in the "
                   "clear and to hosts that a policy forbids; this is only counted"}});
  }
  const net::WallTime now = clock_.wall();
  for (const LocalRules::Listed& listed : rules_->exemptions(now)) {
    log_.warning("tls-exemption", describe(listed));
  }
  for (const LocalRules::Listed& listed : rules_->listed()) {
    if (listed.rule->over(now) && listed.rule->origin != "override") {
      log_.warning("tls-rule-over", describe(listed));
    }
  }
}

void RuleBook::rebuild() {
  rules_ = std::make_shared<const LocalRules>(LocalRules::Sources{policy_, preload_, overrides_});
}

void RuleBook::changed() {
  rebuild();
  if (publish_) {
    publish_(rules_);
  }
  look_for_ends();
}

void RuleBook::set(const spool::PolicyOverride& rule,
                   std::function<void(spool::Stored<void>)> done) {
  const auto place = writing_.insert(rule.domain);
  spool_.save_override(rule, loop_,
                       [this, alive = std::weak_ptr(alive_), place, rule,
                        done = std::move(done)](const spool::Stored<void>& result) {
                         if (alive.expired()) {
                           return;
                         }
                         writing_.erase(place);
                         if (result) {
                           log_override("set", rule, rule.by);
                           put(rule);
                         }
                         done(result);
                       });
}

void RuleBook::put(spool::PolicyOverride rule) {
  const auto place =
      std::ranges::lower_bound(overrides_, rule.domain, {}, &spool::PolicyOverride::domain);
  if (place != overrides_.end() && place->domain == rule.domain) {
    *place = std::move(rule);
  } else {
    overrides_.insert(place, std::move(rule));
  }
  changed();
}

void RuleBook::remove(const std::string& domain, const std::string& by,
                      std::function<void(spool::Stored<std::size_t>)> done) {
  const auto place = writing_.insert(domain);
  spool_.remove_override(domain, loop_,
                         [this, alive = std::weak_ptr(alive_), place, domain, by,
                          done = std::move(done)](const spool::Stored<std::size_t>& removed) {
                           if (alive.expired()) {
                             return;
                           }
                           writing_.erase(place);
                           if (removed) {
                             take(domain, by);
                           }
                           done(removed);
                         });
}

void RuleBook::take(const std::string& domain, const std::string& by) {
  const auto place = std::ranges::find(overrides_, domain, &spool::PolicyOverride::domain);
  if (place != overrides_.end()) {
    log_override("removed", *place, by);
    overrides_.erase(place);
    changed();
  }
}

void RuleBook::look_for_ends() {
  const net::WallTime now = clock_.wall();
  bool forgotten = false;
  for (auto rule = overrides_.begin(); rule != overrides_.end();) {
    if (end_override(*rule, now)) {
      spool_.remove_override(rule->domain, loop_, {});
      rule = overrides_.erase(rule);
      forgotten = true;
    } else {
      ++rule;
    }
  }
  for (const LocalRules::Listed& listed : rules_->ended(looked_at_, now)) {
    if (listed.rule->origin != "override") {
      log_.warning("tls-rule-over", describe(listed));
    }
  }
  looked_at_ = now;
  if (forgotten) {
    rebuild();
    if (publish_) {
      publish_(rules_);
    }
  }
  const auto next = rules_->next_end(now);
  const std::chrono::milliseconds wait = next ? *next - now : kLongestUntilLook;
  wake_.start(std::clamp<std::chrono::milliseconds>(wait, kShortestUntilLook, kLongestUntilLook));
}

/// Answer: whether it has been shown long enough.
bool RuleBook::end_override(spool::PolicyOverride& rule, net::WallTime now) {
  if (!rule.until || *rule.until > now || writing_.contains(rule.domain)) {
    return false;
  }
  if (rule.state == spool::PolicyOverride::State::set) {
    rule.state = spool::PolicyOverride::State::ended;
    log_override("over", rule, rule.by);
    spool_.save_override(rule, loop_, {});
  }
  return *rule.until + kEndedRulesShown <= now;
}

void RuleBook::log_override(std::string action, const spool::PolicyOverride& rule,
                            const std::string& by) {
  const bool report_only = rule.effect == spool::PolicyOverride::Effect::report_only;
  log_.warning("policy-override",
               {{"action", std::move(action)},
                {"domain", rule.domain},
                {"by", by.empty() ? "unknown" : by},
                {"tls_level", rule.level},
                {"mx", fmt::format("{}", fmt::join(rule.mx, ","))},
                {"fingerprints", fmt::format("{}", fmt::join(rule.fingerprints, ","))},
                {"effect", report_only ? "report-only" : ""},
                {"until", until_text(rule.until)},
                {"reason", rule.reason}});
}

}  // namespace relay::delivery
