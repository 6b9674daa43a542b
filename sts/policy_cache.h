// Cached policies by policy domain (RFC 8461 §3.3, §5.1, §10.2): life, failed-fetch back-off, and
// what may be evicted. Time is an argument. Threading: none of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sts/policy.h"

namespace sts {

using Time = std::chrono::sys_time<std::chrono::milliseconds>;

/// A policy as fetched and stored. Everything durable about a domain is here.
struct CachedPolicy {
  std::string domain;  ///< policy domain, lower-case A-labels
  std::string id;      ///< id of the TXT record that led to the fetch
  Policy policy;
  Time fetched_at{};   ///< the last validated HTTPS 200; life counts from here only (§10.2)
  Time expires_at{};   ///< fetched_at + max_age
};

/// Not durable: what was learned about failed fetches (§3.3: not again within five minutes for the
/// same id).
struct FetchBackoff {
  std::string id;
  Time retry_at{};
  int failures = 0;
  std::string fault;  ///< reason code of the last failure
};

class PolicyCache {
 public:
  explicit PolicyCache(std::size_t capacity) : capacity_(capacity) {}

  /// The unexpired policy of a domain. A wall clock set back never lengthens a policy's life
  /// beyond max_age from the moment of the call.
  [[nodiscard]] std::shared_ptr<const CachedPolicy> find(std::string_view domain, Time now);
  /// Replaces the domain's policy, weaker or not (§5.1, R39); max_age 0 is not kept.
  void store(std::shared_ptr<const CachedPolicy> policy, Time now);
  [[nodiscard]] const FetchBackoff* backoff(std::string_view domain) const;
  void set_backoff(std::string_view domain, FetchBackoff backoff);
  void clear_backoff(std::string_view domain);
  /// Every unexpired policy, ordered by domain.
  [[nodiscard]] std::vector<std::shared_ptr<const CachedPolicy>> policies(Time now) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  // Implementer of sts: replace freely. Over capacity, entries without a policy and of mode none
  // go first, an unexpired enforce policy never before any of them.
  struct Entry {
    std::shared_ptr<const CachedPolicy> policy;
    std::optional<FetchBackoff> backoff;
    Time last_used{};
  };
  std::size_t capacity_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace sts
