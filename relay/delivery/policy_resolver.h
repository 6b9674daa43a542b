// Drives sts::Discovery for the policy domains of one worker: TXT by DNS, the policy by HTTPS, the
// cache in memory and on disk; and has every cached policy fetched again in the background (RFC
// 8461 §10.2). Equal questions are asked once, fetches are limited, and no delivery waits longer
// than its budget. Threading: one loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "relay/delivery/policy_fetcher.h"
#include "relay/delivery/policy_keeper.h"
#include "relay/delivery/policy_state.h"
#include "relay/log.h"
#include "relay/net/clock.h"
#include "relay/net/dns_client.h"
#include "relay/net/domain_name.h"
#include "relay/net/event_loop.h"
#include "relay/net/https_client.h"
#include "relay/net/operation.h"
#include "relay/spool/spool.h"
#include "sts/discovery.h"
#include "sts/policy_cache.h"

namespace relay::delivery {

class PolicyResolver {
 public:
  struct Options {
    /// How long a delivery waits. Then it goes on with the cached policy, or as first_contact
    /// says, while the fetch goes on for the next.
    std::chrono::milliseconds first_contact_wait{std::chrono::seconds(60)};
    sts::FirstContact first_contact = sts::FirstContact::deliver;
    sts::OnDnsFailure on_dns_failure = sts::OnDnsFailure::proceed;
    int concurrent_fetches = 64;
    int concurrent_fetches_per_host = 4;
    /// Shared with the resolvers of other workers; null: its own, by these two numbers. A quarter
    /// of concurrent_fetches is for the background in either case.
    std::shared_ptr<FetchPlaces> fetch_places;
    int history = 5;  ///< replaced policies kept per domain
    std::uint16_t https_port = 443;
    PrivateAddresses private_addresses = PrivateAddresses::refused;
    /// In [0, 1), unpredictable; empty: from the system.
    std::function<double()> random;
  };
  using Callback = std::function<void(const sts::PolicyVerdict&)>;
  using Policies = std::vector<std::shared_ptr<const sts::CachedPolicy>>;

  /// loaded: what is stored of this worker's domains.
  PolicyResolver(net::EventLoop& loop, const net::Clock& clock, net::DnsClient& dns,
                 net::HttpsClient& https, spool::Spool& spool, Log& log, Options options,
                 const StoredPolicies& loaded, std::size_t cache_capacity);
  ~PolicyResolver();
  PolicyResolver(const PolicyResolver&) = delete;
  PolicyResolver& operator=(const PolicyResolver&) = delete;

  /// What applies to a delivery to the policy domain now. record_cache: bypass asks for the TXT
  /// record past DNS caches, as is due before giving up under a policy (RFC 8461 §5.1), and once
  /// an hour fetches the policy although its id is the same.
  net::Operation resolve(const net::DomainName& policy_domain, net::DnsCacheUse record_cache,
                         Callback done);
  /// Fetches the domain's policy now, back-off or not, and waits as long as a delivery would.
  void refresh(const net::DomainName& policy_domain, Callback done);
  /// Starts the refreshes that are due; the rest follows by itself.
  void begin();

  /// What the cache alone says, without any lookup.
  [[nodiscard]] sts::PolicyVerdict known(const net::DomainName& policy_domain) const;
  [[nodiscard]] PolicyState state(const std::string& domain) const { return keeper_.state(domain); }
  [[nodiscard]] const sts::PolicyCache& cache() const { return keeper_.cache(); }
  [[nodiscard]] const PolicyGauges& gauges() const { return keeper_.gauges(); }
  /// In the background, begun so far.
  [[nodiscard]] std::uint64_t refreshes() const { return started_refreshes_; }
  [[nodiscard]] PolicyFetcher::Usage fetches() const { return fetcher_.usage(); }

 private:
  struct Waiter;
  class Wait;
  struct Flight;
  using Key = std::pair<net::DomainName, sts::Purpose>;

  std::shared_ptr<Waiter> join(const Key& key, Callback done);
  Flight& flight(const Key& key);
  [[nodiscard]] sts::Approach approach(const std::string& domain, sts::Purpose purpose) const;
  void take_off();
  void visit(Flight& flight, const sts::DiscoveryStep& step);
  void query_record(Flight& flight, const sts::QueryRecord& step);
  void fetch(Flight& flight, const sts::FetchPolicy& step);
  void land(const Flight& flight, const sts::PolicyVerdict& verdict);
  void refresh_due();
  void start_refresh(const std::string& domain);
  [[nodiscard]] int most_refreshes() const;
  void arm();

  net::EventLoop& loop_;
  const net::Clock& clock_;
  net::DnsClient& dns_;
  Options options_;
  std::function<double()> random_;
  PolicyKeeper keeper_;
  std::map<Key, std::unique_ptr<Flight>> flights_;
  std::deque<Flight*> grounded_;  // wait for their turn to ask DNS
  int lookups_ = 0;
  int refreshes_ = 0;  // in the background, under way
  bool begun_ = false;
  std::uint64_t started_refreshes_ = 0;
  net::Timer refresh_timer_;
  PolicyFetcher fetcher_;  // after the flights that its callbacks know
};

}  // namespace relay::delivery
