// Cached policies by policy domain (RFC 8461 §3.3, §5.1, §10.2): life, failed-fetch back-off, when
// each is fetched again, and what may be evicted. Time is an argument. Threading: none of its own.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sts/policy.h"

namespace sts {

using Time = std::chrono::sys_time<std::chrono::milliseconds>;

/// A policy as fetched and stored. Everything durable about a domain is here.
struct CachedPolicy {
  std::string domain;  ///< policy domain, lower-case A-labels
  std::string id;      ///< id of the TXT record that led to the fetch
  Policy policy;
  Time fetched_at{};  ///< the last validated HTTPS 200; life counts from here only (§10.2)
  Time expires_at{};  ///< fetched_at + max_age
};

/// Why a promised policy could not be had (RFC 8460 §4.3.2).
struct DiscoveryFault {
  enum class Kind { fetch_error, policy_invalid, webpki_invalid };
  Kind kind;
  std::string reason;  ///< short code: "http-404", "timeout", "no-mx", "X509_V_ERR_…"
  friend bool operator==(const DiscoveryFault&, const DiscoveryFault&) = default;
};

/// Not durable: when the next fetch for an id is due. After a failure not within five minutes
/// (§3.3), then twice as long each time up to six hours.
struct FetchBackoff {
  std::string id;
  Time retry_at{};
  int failures = 0;  ///< tries in a row with this outcome, from 1
  /// What became of the last try. None: it served the old policy under a new id, as happens when
  /// the TXT record is changed before the policy (§8.1), and is looked at again.
  std::optional<DiscoveryFault> fault;
  Time tried_at{};
};

/// What a policy was fetched for: a delivery that waits for it, or to have it ready.
enum class FetchedFor { delivery, stock };

/// How much a cache keeps. Unexpired enforce policies are kept beyond it, everything else is not;
/// beyond twice as much the least recently used of them go, too.
struct CacheLimits {
  std::size_t domains = 1'000'000;
  std::size_t octets = 512UL << 20;  ///< of policies with their bodies, in memory

  /// The octets that so many policies of common size take, with room for a few of the largest.
  [[nodiscard]] static CacheLimits of(std::size_t domains);
};

/// What a policy takes in memory, about.
[[nodiscard]] std::size_t octets_of(const CachedPolicy& policy);

class PolicyCache {
 public:
  /// Told of each policy, expired or not, that the limits cost its place; must not use the cache.
  using OnEvict = std::function<void(const CachedPolicy&)>;

  explicit PolicyCache(CacheLimits limits, OnEvict on_evict = {})
      : limits_(limits), on_evict_(std::move(on_evict)) {}
  explicit PolicyCache(std::size_t domains) : PolicyCache(CacheLimits::of(domains)) {}
  PolicyCache(const PolicyCache&) = delete;
  PolicyCache& operator=(const PolicyCache&) = delete;
  PolicyCache(PolicyCache&&) = delete;
  PolicyCache& operator=(PolicyCache&&) = delete;
  ~PolicyCache() = default;

  /// The unexpired policy of a domain. A wall clock set back never lengthens a policy's life
  /// beyond max_age from the moment of the call.
  [[nodiscard]] std::shared_ptr<const CachedPolicy> find(std::string_view domain, Time now);
  /// The same for whoever only looks: it is no use of the policy.
  [[nodiscard]] std::shared_ptr<const CachedPolicy> peek(std::string_view domain, Time now) const;
  /// Replaces the domain's policy, weaker or not (§5.1); an expired one (max_age 0) is not kept.
  /// Answer: what was kept, its life shortened if the clock was set back; or null.
  std::shared_ptr<const CachedPolicy> store(std::shared_ptr<const CachedPolicy> policy, Time now,
                                            FetchedFor fetched_for = FetchedFor::delivery);
  /// Makes room for so many domains at once.
  void reserve(std::size_t domains) { entries_.reserve(domains); }
  /// Forgets the domain's policy.
  void forget(std::string_view domain);
  /// The policy of a domain that expired without being replaced, once: the operator wants to know
  /// which protection was lost. Null: there is none, or it is known already.
  [[nodiscard]] std::shared_ptr<const CachedPolicy> take_expired(std::string_view domain, Time now);
  [[nodiscard]] const FetchBackoff* backoff(std::string_view domain) const;
  void set_backoff(std::string_view domain, FetchBackoff backoff);
  void clear_backoff(std::string_view domain);

  /// Whether a delivery used the policy since its fetch or was what it was fetched for.
  [[nodiscard]] bool wanted(std::string_view domain) const;
  /// Whether the policy may be fetched once more under its id because all hosts failed under it:
  /// once an hour, and not before a second delivery uses it, so never just after its fetch.
  [[nodiscard]] bool may_recheck(std::string_view domain, Time now) const;
  void note_recheck(std::string_view domain, Time now);

  /// Plans the next refresh of a domain's policy in place of an earlier plan. Storing or forgetting
  /// a policy drops its plan.
  void plan(std::string_view domain, Time at);
  [[nodiscard]] std::optional<Time> planned(std::string_view domain) const;
  /// When the earliest plan is due.
  [[nodiscard]] std::optional<Time> next_plan() const;
  /// Takes the earliest plan that is due by now; the domain may have expired meanwhile.
  [[nodiscard]] std::optional<std::string> take_due(Time now);

  /// Every unexpired policy, ordered by domain.
  [[nodiscard]] std::vector<std::shared_ptr<const CachedPolicy>> policies(Time now) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }  ///< back-offs too
  [[nodiscard]] std::size_t policy_count() const { return by_expiry_.size(); }
  [[nodiscard]] std::size_t octets() const { return octets_; }  ///< as octets_of() counts them

 private:
  // What is evicted first; within a rank the least recently used.
  enum class Rank : std::uint8_t { no_policy, mode_none, mode_testing, mode_enforce };
  using Uses = std::list<const std::string*>;  // least recently used first; the keys of entries_
  // What few domains have: a million others go without its room.
  struct Trouble {
    std::optional<FetchBackoff> backoff;
    std::optional<Time> rechecked_at;
  };
  struct Entry {
    std::shared_ptr<const CachedPolicy> policy;
    std::unique_ptr<Trouble> trouble;
    Uses::iterator use;
    Time planned_at = kNotPlanned;
    Rank rank = Rank::no_policy;
    std::uint8_t uses = 0;  // deliveries since its fetch; two are as good as many

    [[nodiscard]] bool has_backoff() const { return trouble != nullptr && trouble->backoff; }
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  using Entries = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;
  using Agenda = std::set<std::pair<Time, const std::string*>>;
  static constexpr Time kNotPlanned = Time::max();

  Entries::iterator entry_of(std::string_view domain);
  Trouble& trouble_of(std::string_view domain);
  void drop_plan(Entries::iterator entry);
  void set_policy(Entries::iterator entry, std::shared_ptr<const CachedPolicy> policy);
  void drop_if_empty(Entries::iterator entry);
  void erase(Entries::iterator entry);
  void evict(Time now);
  [[nodiscard]] const std::string* victim(Time now);
  [[nodiscard]] bool exceeds(std::size_t times) const;
  Uses& uses(Rank rank) { return uses_.at(static_cast<std::size_t>(rank)); }

  CacheLimits limits_;
  OnEvict on_evict_;
  std::size_t octets_ = 0;
  Entries entries_;
  std::array<Uses, 4> uses_;
  Agenda by_expiry_;  // of those with a policy
  Agenda by_plan_;
};

}  // namespace sts
