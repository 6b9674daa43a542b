// DNS answers and absences by question, until their TTL has run out; the least recently used go
// first when it is full. Pure.
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "relay/net/clock.h"
#include "relay/net/dns_message.h"

namespace relay::net {

struct DnsCacheKey {
  std::string name;  ///< lower case
  DnsType type;
  friend bool operator==(const DnsCacheKey&, const DnsCacheKey&) = default;
};

struct DnsCacheKeyHash {
  std::size_t operator()(const DnsCacheKey& key) const noexcept {
    return std::hash<std::string>{}(key.name) ^ (static_cast<std::size_t>(key.type) << 1U);
  }
};

class DnsCache {
 public:
  /// capacity: entries, at least 1. octets: of all entries together, as far as what peers sent
  /// decides.
  explicit DnsCache(std::size_t capacity, std::size_t octets = std::size_t{16} * 1024 * 1024)
      : capacity_(capacity), octets_(octets) {}

  /// What is known, its TTL reduced to what is left of it.
  [[nodiscard]] std::optional<DnsResult> find(const DnsCacheKey& key, SteadyTime now);
  /// Keeps an answer or absence for its TTL in place of what was known. A TTL of 0 or more than
  /// 8 KiB is not kept; a failure changes nothing.
  void put(const DnsCacheKey& key, const DnsResult& result, SteadyTime now);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t octets() const { return used_; }

 private:
  struct Entry {
    DnsCacheKey key;
    DnsResult result;
    SteadyTime expires;
    std::size_t octets;
  };
  using Entries = std::list<Entry>;  // most recently used first

  void erase(Entries::iterator entry);

  std::size_t capacity_;
  std::size_t octets_;
  std::size_t used_ = 0;
  Entries entries_;
  std::unordered_map<DnsCacheKey, Entries::iterator, DnsCacheKeyHash> by_key_;
};

/// The TTL of an answer or absence; 0 for a failure.
[[nodiscard]] std::chrono::seconds ttl_of(const DnsResult& result);
/// Sets the TTL of an answer or absence; a failure has none.
void set_ttl(DnsResult& result, std::chrono::seconds ttl);

}  // namespace relay::net
