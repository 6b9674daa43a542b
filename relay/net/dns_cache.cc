#include "relay/net/dns_cache.h"

#include <numeric>
#include <utility>

namespace relay::net {
namespace {

using std::chrono::seconds;

constexpr std::size_t kMaxAnswer = std::size_t{8} * 1024;

template <class Record>
std::size_t octets_of(const Record& record) {
  if constexpr (requires { record.exchange; }) {
    return sizeof record + record.exchange.size();
  } else if constexpr (requires { record.data; }) {
    return sizeof record + record.data.size();
  } else {
    return sizeof record + record.size();
  }
}

/// Roughly what keeping it takes.
std::size_t octets_of(const DnsCacheKey& key, const DnsResult& result) {
  std::size_t octets = key.name.size();
  if (const auto* answer = std::get_if<DnsAnswer>(&result)) {
    octets += answer->canonical_name.size();
    octets += std::visit(
        [](const auto& records) {
          return std::accumulate(
              records.begin(), records.end(), std::size_t{0},
              [](std::size_t sum, const auto& record) { return sum + octets_of(record); });
        },
        answer->records);
  }
  return octets;
}

}  // namespace

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
  if (std::holds_alternative<DnsFailure>(result)) {
    return;
  }
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    erase(found->second);
  }
  const seconds ttl = ttl_of(result);
  const std::size_t octets = octets_of(key, result);
  if (ttl <= seconds(0) || octets > kMaxAnswer || octets > octets_) {
    return;
  }
  while (!entries_.empty() && (entries_.size() >= capacity_ || used_ + octets > octets_)) {
    erase(std::prev(entries_.end()));
  }
  entries_.push_front(Entry{key, result, now + ttl, octets});
  by_key_.emplace(key, entries_.begin());
  used_ += octets;
}

void DnsCache::erase(Entries::iterator entry) {
  used_ -= entry->octets;
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

}  // namespace relay::net
