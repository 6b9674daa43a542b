#include "relay/delivery/policy_keeper.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "relay/delivery/chance.h"

namespace relay::delivery {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::minutes kSaveAgain{5};
constexpr milliseconds kShortestWait{1000};
constexpr std::chrono::hours kLossRemembered{24 * 30};  // as long as the disk keeps the policy

/// Why a policy takes the place of another, for the history.
std::string reason_for(const sts::CachedPolicy* before, const sts::CachedPolicy& fresh) {
  if (before == nullptr) {
    return "expired before";
  }
  return before->id != fresh.id ? "new id" : "changed under the same id";
}

}  // namespace

PolicyKeeper::PolicyKeeper(net::EventLoop& loop, const net::Clock& clock, spool::Spool& spool,
                           Log& log, Options options)
    : loop_(loop),
      clock_(clock),
      spool_(spool),
      log_(log),
      events_(log, clock),
      options_(std::move(options)),
      random_(given_or_chance(options_.random)),
      cache_(sts::CacheLimits::of(options_.capacity),
             [this](const sts::CachedPolicy& policy) { evicted(policy); }),
      save_timer_(loop, [this] { save_again(); }) {}

void PolicyKeeper::load(const StoredPolicies& stored) {
  std::map<std::string_view, const spool::PolicyTrouble*> troubles;
  for (const auto& trouble : stored.troubles) {
    troubles.emplace(trouble.domain, &trouble);
  }
  cache_.reserve(stored.policies.size());
  for (const auto& policy : stored.policies) {
    const auto found = troubles.find(policy->domain);
    load_policy(policy, found == troubles.end() ? spool::PolicyTrouble{} : *found->second);
  }
  for (const auto& trouble : stored.troubles) {
    if (trouble.backoff) {
      cache_.set_backoff(trouble.domain, *trouble.backoff);
    }
  }
  publish();
}

void PolicyKeeper::load_policy(const std::shared_ptr<const sts::CachedPolicy>& policy,
                               const spool::PolicyTrouble& trouble) {
  const net::WallTime now = clock_.wall();
  const std::string& domain = policy->domain;
  if (policy->expires_at <= now) {
    lost_.emplace(domain, policy->expires_at);
    if (trouble.loss == spool::PolicyTrouble::Loss::none) {
      events_.lost(*policy, "it expired while nothing refreshed it");
      spool_.save_trouble({domain, trouble.backoff, {}, spool::PolicyTrouble::Loss::told}, now);
    }
    return;
  }
  const auto kept = cache_.store(policy, now, sts::FetchedFor::stock);
  if (kept == nullptr || cache_.peek(domain, now) == nullptr) {
    return;  // of max_age 0, which nobody stores, or the cache is full
  }
  if (trouble.backoff) {
    cache_.set_backoff(domain, *trouble.backoff);
  }
  if (trouble.failing) {
    failing_.emplace(domain, *trouble.failing).first->second.expires_at = kept->expires_at;
  }
  if (kept->expires_at != policy->expires_at) {
    // The clock was set back: a life shortened once must not begin anew with each start.
    save(*kept, "");
  }
  if (trouble.loss == spool::PolicyTrouble::Loss::told) {
    save_trouble(domain);  // the clock was wrong then
  }
  // One that is over is no reason for a barrage after a long stop.
  const bool waits = trouble.backoff && trouble.backoff->retry_at > now;
  cache_.plan(domain,
              sts::next_refresh(*kept, waits ? &*trouble.backoff : nullptr, now, random_()));
}

void PolicyKeeper::keep(const Outcome& outcome) {
  const auto& [domain, before, purpose, fetched_for, verdict] = outcome;
  if (purpose == sts::Purpose::delivery || purpose == sts::Purpose::recheck) {
    ++gauges_.lookups.at(static_cast<std::size_t>(found_by(verdict)));
  }
  if (!is_known(outcome)) {
    const bool fetched = verdict.source == sts::PolicyVerdict::Source::fetched;
    const bool was_troubled = fetched && !trouble_of(domain).empty();
    tell(outcome);
    if (verdict.policy == nullptr) {
      lose(domain, verdict.note);
    }
    sts::remember(cache_, domain, verdict, clock_.wall(), fetched_for);
    keep_on_disk(outcome);
    watch(outcome);
    if (was_troubled || verdict.backoff) {
      save_trouble(domain);
    }
  }
  if (verdict.store != nullptr || verdict.backoff || purpose == sts::Purpose::refresh) {
    plan(domain);
    publish();
  }
}

bool PolicyKeeper::is_known(const Outcome& outcome) const {
  const sts::PolicyVerdict& verdict = outcome.verdict;
  if (verdict.store != nullptr) {
    const auto current = cache_.peek(outcome.domain, clock_.wall());
    return current != nullptr && current->id == verdict.store->id &&
           current->fetched_at == verdict.store->fetched_at;
  }
  const auto* const backoff = cache_.backoff(outcome.domain);
  return verdict.backoff && backoff != nullptr && backoff->id == verdict.backoff->id &&
         backoff->tried_at == verdict.backoff->tried_at;
}

void PolicyKeeper::tell(const Outcome& outcome) {
  if (outcome.purpose == sts::Purpose::delivery || outcome.purpose == sts::Purpose::recheck) {
    events_.record(outcome.domain, outcome.before, outcome.verdict);
  }
  if (outcome.verdict.source == sts::PolicyVerdict::Source::fetched) {
    events_.fetched(outcome.before, outcome.verdict, outcome.purpose);
  } else if (outcome.verdict.backoff) {
    if (outcome.verdict.fault) {  // none: who opted out took the policy host away
      gauges_.failures.count(*outcome.verdict.fault);
    }
    events_.failed(outcome.domain, outcome.before, outcome.verdict, outcome.purpose);
  } else if (log_.enabled(conf::LogLevel::debug)) {
    log_.debug("policy", {{"domain", outcome.domain}, {"note", outcome.verdict.note}});
  }
}

void PolicyKeeper::keep_on_disk(const Outcome& outcome) {
  const auto& store = outcome.verdict.store;
  if (store != nullptr) {
    lost_.erase(outcome.domain);
    // A full cache may have no place for it, and the disk is no larger.
    if (cache_.peek(outcome.domain, clock_.wall()) != nullptr) {
      save(*store, reason_for(outcome.before, *store));
    }
  } else if (outcome.verdict.forget) {
    forget(outcome.domain, "replaced by one of max_age 0");
  }
}

void PolicyKeeper::watch(const Outcome& outcome) {
  const std::string& domain = outcome.domain;
  const sts::PolicyVerdict& verdict = outcome.verdict;
  if (verdict.source == sts::PolicyVerdict::Source::fetched) {
    const auto found = failing_.extract(domain);
    if (found && found.mapped().said >= sts::Alert::warning) {
      events_.recovered(domain, found.mapped());
    }
    return;
  }
  if (!verdict.backoff || !verdict.fault || verdict.policy == nullptr) {
    return;
  }
  const net::WallTime now = clock_.wall();
  const sts::FailingRefresh first{now, sts::Alert::none, {}, {}};
  sts::FailingRefresh& failing = failing_.try_emplace(domain, first).first->second;
  failing.fault = *verdict.fault;
  failing.expires_at = verdict.policy->expires_at;
  const sts::Alert alert = sts::alert_due(failing, *verdict.policy, now);
  if (alert != sts::Alert::none) {
    failing.said = alert;
    events_.failing(domain, failing, alert);
  }
}

void PolicyKeeper::lose(const std::string& domain, const std::string& reason) {
  const auto lost = cache_.take_expired(domain, clock_.wall());
  if (lost != nullptr) {
    events_.lost(*lost, reason);
    failing_.erase(domain);
    unsaved_.erase(domain);
    lost_.insert_or_assign(domain, lost->expires_at);
    save_trouble(domain);
    publish();
  }
}

void PolicyKeeper::save(const sts::CachedPolicy& policy, std::string why) {
  const std::weak_ptr<int> alive = alive_;
  spool_.save_policy(policy,
                     {clock_.wall(), std::move(why), options_.history, &loop_,
                      [this, alive, domain = policy.domain](const spool::Stored<void>& result) {
                        if (!alive.expired()) {
                          saved(domain, result);
                        }
                      }});
  if (!trouble_of(policy.domain).empty()) {
    save_trouble(policy.domain);
  }
}

void PolicyKeeper::save_again() {
  const net::WallTime now = clock_.wall();
  std::erase_if(unsaved_, [&](const std::string& domain) { return !cache_.peek(domain, now); });
  for (const std::string& domain : unsaved_) {
    save(*cache_.peek(domain, now), "stored late");
  }
  publish();
}

void PolicyKeeper::forget(const std::string& domain, std::string why) {
  unsaved_.erase(domain);
  spool_.forget_policy(domain, {clock_.wall(), std::move(why), options_.history, nullptr, {}});
}

spool::PolicyTrouble PolicyKeeper::trouble_of(const std::string& domain) const {
  spool::PolicyTrouble trouble;
  trouble.domain = domain;
  if (const auto* const backoff = cache_.backoff(domain)) {
    trouble.backoff = *backoff;
  }
  if (const auto found = failing_.find(domain); found != failing_.end()) {
    trouble.failing = found->second;
  }
  trouble.loss =
      lost_.contains(domain) ? spool::PolicyTrouble::Loss::told : spool::PolicyTrouble::Loss::none;
  return trouble;
}

void PolicyKeeper::save_trouble(const std::string& domain) {
  spool_.save_trouble(trouble_of(domain), clock_.wall());
}

void PolicyKeeper::evicted(const sts::CachedPolicy& policy) {
  const net::WallTime now = clock_.wall();
  const std::string& domain = policy.domain;
  failing_.erase(domain);
  unsaved_.erase(domain);
  if (policy.expires_at <= now) {
    events_.lost(policy, "it was not replaced in time");
    lost_.insert_or_assign(domain, policy.expires_at);
    spool_.save_trouble({domain, {}, {}, spool::PolicyTrouble::Loss::told}, now);
  } else {
    events_.evicted(policy);
    // Without history: whoever made the cache overflow would fill the disk instead.
    spool_.forget_policy(domain, {now, "evicted", 0, nullptr, {}});
  }
}

void PolicyKeeper::saved(const std::string& domain, const spool::Stored<void>& result) {
  const bool was_well = unsaved_.empty();
  if (result) {
    unsaved_.erase(domain);
  } else {
    unsaved_.insert(domain);
    save_timer_.start(kSaveAgain);
    // Once for all that follow: a full disk refuses every one of them.
    log_.write(was_well ? conf::LogLevel::error : conf::LogLevel::debug, "policy-store-failed",
               {{"domain", domain},
                {"reason", result.error().reason},
                {"detail", "the policy is in force from memory; a restart would forget it"}});
  }
  if (!was_well && unsaved_.empty()) {
    log_.info("policy-store-recovered", {{"domain", domain}});
  }
  publish();
}

void PolicyKeeper::plan(const std::string& domain) {
  const net::WallTime now = clock_.wall();
  if (const auto policy = cache_.peek(domain, now)) {
    const sts::Time at = sts::next_refresh(*policy, cache_.backoff(domain), now, random_());
    cache_.plan(domain, std::max(at, std::min(now + kShortestWait, policy->expires_at)));
  }
}

PolicyState PolicyKeeper::state(const std::string& domain) const {
  PolicyState state;
  state.policy = cache_.peek(domain, clock_.wall());
  state.refresh_at = cache_.planned(domain);
  if (const auto found = failing_.find(domain); found != failing_.end()) {
    state.failing = found->second;
  }
  if (const auto* backoff = cache_.backoff(domain)) {
    state.backoff = *backoff;
  }
  return state;
}

void PolicyKeeper::publish() {
  const net::WallTime now = clock_.wall();
  std::erase_if(failing_, [&](const auto& each) { return each.second.expires_at <= now; });
  std::erase_if(lost_, [&](const auto& each) { return each.second + kLossRemembered <= now; });
  gauges_.cached = cache_.policy_count();
  gauges_.unsaved = unsaved_.size();
  gauges_.failing = failing_.size();
  std::int64_t earliest = 0;
  std::vector<FailingPolicy> all;
  for (const auto& [domain, failing] : failing_) {
    all.push_back({domain, failing});
    const std::int64_t at = failing.expires_at.time_since_epoch().count();
    earliest = earliest == 0 ? at : std::min(earliest, at);
  }
  gauges_.earliest_expiry = earliest;
  gauges_.failing_policies.set(std::move(all));
}

}  // namespace relay::delivery
