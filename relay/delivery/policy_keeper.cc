#include "relay/delivery/policy_keeper.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace relay::delivery {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::minutes kSaveAgain{5};
constexpr milliseconds kShortestWait{1000};

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
      cache_(options_.capacity),
      save_timer_(loop, [this] { save_again(); }) {}

void PolicyKeeper::load(const std::vector<std::shared_ptr<const sts::CachedPolicy>>& stored) {
  const net::WallTime now = clock_.wall();
  cache_.reserve(stored.size());
  for (const auto& policy : stored) {
    if (policy->expires_at <= now) {
      events_.lost(*policy, "it expired while nothing refreshed it");
      forget(policy->domain, "expired");
      continue;
    }
    const auto kept = cache_.store(policy, now, sts::FetchedFor::stock);
    if (kept == nullptr) {
      continue;  // of max_age 0, which nobody stores
    }
    if (kept->expires_at != policy->expires_at) {
      // The clock was set back: a life shortened once must not begin anew with each start.
      save(*kept, "");
    }
    cache_.plan(policy->domain, sts::refresh_due(*kept, now, options_.random()));
  }
  publish();
}

void PolicyKeeper::keep(const Outcome& outcome) {
  const auto& [domain, before, purpose, fetched_for, verdict] = outcome;
  if (!is_known(outcome)) {
    tell(outcome);
    if (verdict.policy == nullptr) {
      lose(domain, verdict.note);
    }
    sts::remember(cache_, domain, verdict, clock_.wall(), fetched_for);
    keep_on_disk(outcome);
    watch(outcome);
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
    events_.failed(outcome.domain, outcome.before, outcome.verdict, outcome.purpose);
  } else if (log_.enabled(conf::LogLevel::debug)) {
    log_.debug("policy", {{"domain", outcome.domain}, {"note", outcome.verdict.note}});
  }
}

void PolicyKeeper::keep_on_disk(const Outcome& outcome) {
  if (outcome.verdict.store != nullptr) {
    save(*outcome.verdict.store, reason_for(outcome.before, *outcome.verdict.store));
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
    forget(domain, "expired");
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
    const sts::Time at = sts::next_refresh(*policy, cache_.backoff(domain), now, options_.random());
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
  // Some were evicted and so never lost.
  std::erase_if(failing_,
                [now = clock_.wall()](const auto& each) { return each.second.expires_at <= now; });
  gauges_.cached = cache_.policy_count();
  gauges_.unsaved = unsaved_.size();
  gauges_.failing = failing_.size();
  std::int64_t earliest = 0;
  for (const auto& [domain, failing] : failing_) {
    const std::int64_t at = failing.expires_at.time_since_epoch().count();
    earliest = earliest == 0 ? at : std::min(earliest, at);
  }
  gauges_.earliest_expiry = earliest;
}

}  // namespace relay::delivery
