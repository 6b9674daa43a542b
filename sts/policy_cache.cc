#include "sts/policy_cache.h"

#include <algorithm>

namespace sts {
namespace {

constexpr std::chrono::hours kRecheckInterval{1};
constexpr std::uint8_t kManyUses = 2;
constexpr std::size_t kHardLimit = 2;  // times the limits
constexpr std::size_t kCommonOctets = 512;
constexpr std::size_t kLeastOctets = 8UL << 20;

// A clock that was set back makes fetched_at lie in the future; what is left of the policy's life
// must not exceed max_age all the same.
std::shared_ptr<const CachedPolicy> within_life(std::shared_ptr<const CachedPolicy> policy,
                                                Time now) {
  const Time latest = now + policy->policy.max_age;
  if (policy->expires_at <= latest) {
    return policy;
  }
  auto shortened = std::make_shared<CachedPolicy>(*policy);
  shortened->expires_at = latest;
  return shortened;
}

}  // namespace

CacheLimits CacheLimits::of(std::size_t domains) {
  return {domains, std::max(domains * kCommonOctets, kLeastOctets)};
}

std::size_t octets_of(const CachedPolicy& policy) {
  std::size_t octets = sizeof(CachedPolicy) + policy.domain.size() + policy.id.size() +
                       policy.policy.body.size() + policy.policy.mx.size() * sizeof(MxPattern);
  for (const MxPattern& pattern : policy.policy.mx) {
    octets += pattern.text().size();
  }
  return octets;
}

std::shared_ptr<const CachedPolicy> PolicyCache::find(std::string_view domain, Time now) {
  const auto entry = entries_.find(domain);
  if (entry == entries_.end()) {
    return nullptr;
  }
  Uses& list = uses(entry->second.rank);
  list.splice(list.end(), list, entry->second.use);
  if (entry->second.uses < kManyUses) {
    ++entry->second.uses;
  }
  if (entry->second.policy == nullptr || entry->second.policy->expires_at <= now) {
    return nullptr;
  }
  if (auto policy = within_life(entry->second.policy, now); policy != entry->second.policy) {
    set_policy(entry, std::move(policy));
  }
  return entry->second.policy;
}

std::shared_ptr<const CachedPolicy> PolicyCache::peek(std::string_view domain, Time now) const {
  const auto entry = entries_.find(domain);
  const bool alive = entry != entries_.end() && entry->second.policy != nullptr &&
                     entry->second.policy->expires_at > now;
  return alive ? within_life(entry->second.policy, now) : nullptr;
}

std::shared_ptr<const CachedPolicy> PolicyCache::store(std::shared_ptr<const CachedPolicy> policy,
                                                       Time now, FetchedFor fetched_for) {
  policy = within_life(std::move(policy), now);
  if (policy->expires_at <= now) {
    forget(policy->domain);
    return nullptr;
  }
  const auto entry = entry_of(policy->domain);
  set_policy(entry, policy);
  drop_plan(entry);
  entry->second.uses = fetched_for == FetchedFor::delivery ? 1 : 0;
  evict(now);
  return policy;
}

void PolicyCache::forget(std::string_view domain) {
  if (const auto entry = entries_.find(domain); entry != entries_.end()) {
    set_policy(entry, nullptr);
    drop_if_empty(entry);
  }
}

std::shared_ptr<const CachedPolicy> PolicyCache::take_expired(std::string_view domain, Time now) {
  const auto entry = entries_.find(domain);
  if (entry == entries_.end() || entry->second.policy == nullptr ||
      entry->second.policy->expires_at > now) {
    return nullptr;
  }
  auto expired = entry->second.policy;
  set_policy(entry, nullptr);
  drop_if_empty(entry);
  return expired;
}

const FetchBackoff* PolicyCache::backoff(std::string_view domain) const {
  const auto entry = entries_.find(domain);
  return entry != entries_.end() && entry->second.has_backoff() ? &*entry->second.trouble->backoff
                                                                : nullptr;
}

void PolicyCache::set_backoff(std::string_view domain, FetchBackoff backoff) {
  trouble_of(domain).backoff = std::move(backoff);
  evict(Time::min());
}

void PolicyCache::clear_backoff(std::string_view domain) {
  const auto entry = entries_.find(domain);
  if (entry != entries_.end() && entry->second.has_backoff()) {
    entry->second.trouble->backoff.reset();
    drop_if_empty(entry);
  }
}

bool PolicyCache::wanted(std::string_view domain) const {
  const auto entry = entries_.find(domain);
  return entry != entries_.end() && entry->second.uses > 0;
}

bool PolicyCache::may_recheck(std::string_view domain, Time now) const {
  const auto found = entries_.find(domain);
  if (found == entries_.end() || found->second.policy == nullptr) {
    return false;
  }
  const Entry& entry = found->second;
  if (entry.uses < kManyUses) {
    return false;
  }
  const auto last = entry.trouble != nullptr ? entry.trouble->rechecked_at : std::nullopt;
  // Before the last one: the clock was set back.
  return !last || now >= *last + kRecheckInterval || now < *last;
}

void PolicyCache::note_recheck(std::string_view domain, Time now) {
  trouble_of(domain).rechecked_at = now;
  evict(Time::min());
}

void PolicyCache::plan(std::string_view domain, Time at) {
  const auto entry = entries_.find(domain);
  if (entry != entries_.end() && entry->second.policy != nullptr) {
    drop_plan(entry);
    entry->second.planned_at = at;
    by_plan_.emplace(at, &entry->first);
  }
}

std::optional<Time> PolicyCache::planned(std::string_view domain) const {
  const auto entry = entries_.find(domain);
  return entry != entries_.end() && entry->second.planned_at != kNotPlanned
             ? std::optional{entry->second.planned_at}
             : std::nullopt;
}

std::optional<Time> PolicyCache::next_plan() const {
  return by_plan_.empty() ? std::nullopt : std::optional{by_plan_.begin()->first};
}

std::optional<std::string> PolicyCache::take_due(Time now) {
  if (by_plan_.empty() || by_plan_.begin()->first > now) {
    return std::nullopt;
  }
  const auto entry = entries_.find(*by_plan_.begin()->second);
  drop_plan(entry);
  return entry->first;
}

std::vector<std::shared_ptr<const CachedPolicy>> PolicyCache::policies(Time now) const {
  std::vector<std::shared_ptr<const CachedPolicy>> all;
  for (const auto& [domain, entry] : entries_) {
    if (entry.policy != nullptr && entry.policy->expires_at > now) {
      all.push_back(entry.policy);
    }
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a->domain < b->domain; });
  return all;
}

PolicyCache::Entries::iterator PolicyCache::entry_of(std::string_view domain) {
  const auto [entry, is_new] = entries_.try_emplace(std::string{domain});
  if (is_new) {
    Uses& list = uses(Rank::no_policy);
    entry->second.use = list.insert(list.end(), &entry->first);
  }
  return entry;
}

PolicyCache::Trouble& PolicyCache::trouble_of(std::string_view domain) {
  auto& trouble = entry_of(domain)->second.trouble;
  if (trouble == nullptr) {
    trouble = std::make_unique<Trouble>();
  }
  return *trouble;
}

void PolicyCache::drop_plan(Entries::iterator entry) {
  if (entry->second.planned_at != kNotPlanned) {
    by_plan_.erase({entry->second.planned_at, &entry->first});
    entry->second.planned_at = kNotPlanned;
  }
}

void PolicyCache::set_policy(Entries::iterator entry, std::shared_ptr<const CachedPolicy> policy) {
  Entry& value = entry->second;
  if (value.policy != nullptr) {
    by_expiry_.erase({value.policy->expires_at, &entry->first});
    octets_ -= octets_of(*value.policy);
  }
  value.policy = std::move(policy);
  if (value.policy == nullptr) {
    drop_plan(entry);
  }
  Rank rank = Rank::no_policy;
  if (value.policy != nullptr) {
    by_expiry_.emplace(value.policy->expires_at, &entry->first);
    octets_ += octets_of(*value.policy);
    switch (value.policy->policy.mode) {
      case Mode::none:
        rank = Rank::mode_none;
        break;
      case Mode::testing:
        rank = Rank::mode_testing;
        break;
      case Mode::enforce:
        rank = Rank::mode_enforce;
        break;
    }
  }
  Uses& to = uses(rank);
  to.splice(to.end(), uses(value.rank), value.use);
  value.rank = rank;
}

void PolicyCache::drop_if_empty(Entries::iterator entry) {
  if (entry->second.policy == nullptr && !entry->second.has_backoff()) {
    erase(entry);
  }
}

void PolicyCache::erase(Entries::iterator entry) {
  if (entry->second.policy != nullptr) {
    by_expiry_.erase({entry->second.policy->expires_at, &entry->first});
    octets_ -= octets_of(*entry->second.policy);
  }
  drop_plan(entry);
  uses(entry->second.rank).erase(entry->second.use);
  entries_.erase(entry);
}

void PolicyCache::evict(Time now) {
  while (exceeds(1)) {
    const std::string* const domain = victim(now);
    if (domain == nullptr) {
      return;
    }
    const auto entry = entries_.find(*domain);
    const auto policy = entry->second.policy;
    erase(entry);
    if (policy != nullptr && on_evict_) {
      on_evict_(*policy);
    }
  }
}

bool PolicyCache::exceeds(std::size_t times) const {
  return entries_.size() > times * limits_.domains || octets_ > times * limits_.octets;
}

/// The next to go; null: what is left stays.
const std::string* PolicyCache::victim(Time now) {
  if (!by_expiry_.empty() && by_expiry_.begin()->first <= now) {
    return by_expiry_.begin()->second;
  }
  for (const Rank rank : {Rank::no_policy, Rank::mode_none, Rank::mode_testing}) {
    // Those without a policy free no octets.
    const bool frees = rank != Rank::no_policy || entries_.size() > limits_.domains;
    if (frees && !uses(rank).empty()) {
      return uses(rank).front();
    }
  }
  // Losing an unexpired enforce policy is a downgrade that anyone can cause who makes the cache
  // overflow (RFC 8461 §10.2), so that it takes as many again, and those in use go last.
  Uses& enforced = uses(Rank::mode_enforce);
  return exceeds(kHardLimit) && !enforced.empty() ? enforced.front() : nullptr;
}

}  // namespace sts
