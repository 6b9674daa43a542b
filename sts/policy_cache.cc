#include "sts/policy_cache.h"

#include <algorithm>

namespace sts {
namespace {

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

std::shared_ptr<const CachedPolicy> PolicyCache::find(std::string_view domain, Time now) {
  const auto entry = entries_.find(domain);
  if (entry == entries_.end()) {
    return nullptr;
  }
  Uses& list = uses(entry->second.rank);
  list.splice(list.end(), list, entry->second.use);
  if (entry->second.policy == nullptr || entry->second.policy->expires_at <= now) {
    return nullptr;
  }
  if (auto policy = within_life(entry->second.policy, now); policy != entry->second.policy) {
    set_policy(entry, std::move(policy));
  }
  return entry->second.policy;
}

void PolicyCache::store(std::shared_ptr<const CachedPolicy> policy, Time now) {
  policy = within_life(std::move(policy), now);
  if (policy->expires_at <= now) {
    return forget(policy->domain);
  }
  const auto entry = entry_of(policy->domain);
  set_policy(entry, std::move(policy));
  evict(now);
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
  return entry != entries_.end() && entry->second.backoff ? &*entry->second.backoff : nullptr;
}

void PolicyCache::set_backoff(std::string_view domain, FetchBackoff backoff) {
  entry_of(domain)->second.backoff = std::move(backoff);
  evict(Time::min());
}

void PolicyCache::clear_backoff(std::string_view domain) {
  if (const auto entry = entries_.find(domain); entry != entries_.end()) {
    entry->second.backoff.reset();
    drop_if_empty(entry);
  }
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
  if (const auto entry = entries_.find(domain); entry != entries_.end()) {
    return entry;
  }
  const auto entry = entries_.emplace(std::string{domain}, Entry{}).first;
  Uses& list = uses(Rank::no_policy);
  entry->second.use = list.insert(list.end(), &entry->first);
  return entry;
}

void PolicyCache::set_policy(Entries::iterator entry, std::shared_ptr<const CachedPolicy> policy) {
  Entry& value = entry->second;
  if (value.policy != nullptr) {
    by_expiry_.erase({value.policy->expires_at, &entry->first});
  }
  value.policy = std::move(policy);
  Rank rank = Rank::no_policy;
  if (value.policy != nullptr) {
    by_expiry_.emplace(value.policy->expires_at, &entry->first);
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
  if (entry->second.policy == nullptr && !entry->second.backoff) {
    erase(entry);
  }
}

void PolicyCache::erase(Entries::iterator entry) {
  if (entry->second.policy != nullptr) {
    by_expiry_.erase({entry->second.policy->expires_at, &entry->first});
  }
  uses(entry->second.rank).erase(entry->second.use);
  entries_.erase(entry);
}

void PolicyCache::evict(Time now) {
  while (entries_.size() > capacity_) {
    const std::string* victim = nullptr;
    if (!by_expiry_.empty() && by_expiry_.begin()->first <= now) {
      victim = by_expiry_.begin()->second;
    } else {
      // Losing an unexpired enforce policy would be a downgrade that anyone can cause who makes
      // the cache overflow (RFC 8461 §10.2).
      for (const Rank rank : {Rank::no_policy, Rank::mode_none, Rank::mode_testing}) {
        if (victim == nullptr && !uses(rank).empty()) {
          victim = uses(rank).front();
        }
      }
    }
    if (victim == nullptr) {
      return;
    }
    erase(entries_.find(*victim));
  }
}

}  // namespace sts
