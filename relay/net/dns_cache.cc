#include "relay/net/dns_cache.h"

#include <utility>

namespace relay::net {

using std::chrono::seconds;

seconds ttl_of(const DnsResult& result) {
  if (const auto* answer = std::get_if<DnsAnswer>(&result)) {
    return answer->ttl;
  }
  const auto* absent = std::get_if<DnsNoRecord>(&result);
  return absent == nullptr ? seconds(0) : absent->ttl;
}

void set_ttl(DnsResult& result, seconds ttl) {
  if (auto* answer = std::get_if<DnsAnswer>(&result)) {
    answer->ttl = ttl;
  } else if (auto* absent = std::get_if<DnsNoRecord>(&result)) {
    absent->ttl = ttl;
  }
}

std::optional<DnsResult> DnsCache::find(const DnsCacheKey& key, SteadyTime now) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    return std::nullopt;
  }
  const auto entry = found->second;
  if (entry->expires <= now) {
    erase(entry);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  DnsResult result = entry->result;
  set_ttl(result, std::chrono::ceil<seconds>(entry->expires - now));
  return result;
}

void DnsCache::put(const DnsCacheKey& key, const DnsResult& result, SteadyTime now) {
  const seconds ttl = ttl_of(result);
  if (ttl <= seconds(0)) {
    return;
  }
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    erase(found->second);
  } else if (entries_.size() >= capacity_) {
    erase(std::prev(entries_.end()));
  }
  entries_.push_front(Entry{key, result, now + ttl});
  by_key_.emplace(key, entries_.begin());
}

void DnsCache::erase(Entries::iterator entry) {
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

}  // namespace relay::net
