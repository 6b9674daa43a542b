// Drives sts::Discovery for the policy domains of one worker: TXT by DNS, the policy by HTTPS, the
// cache in memory and on disk. Equal questions are asked once, fetches are limited, and no delivery
// waits longer than its budget. Threading: one loop.
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

#include "relay/delivery/destination.h"
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
    /// How long a delivery waits. Then it goes on with the cached policy or without one, while
    /// the fetch goes on for the next.
    std::chrono::milliseconds first_contact_wait{std::chrono::seconds(60)};
    int concurrent_fetches = 64;
    std::uint16_t https_port = 443;
    PrivateAddresses private_addresses = PrivateAddresses::refused;
  };
  using Callback = std::function<void(const sts::PolicyVerdict&)>;

  /// loaded: the stored policies of this worker's domains.
  PolicyResolver(net::EventLoop& loop, const net::Clock& clock, net::DnsClient& dns,
                 net::HttpsClient& https, spool::Spool& spool, Log& log, Options options,
                 std::vector<sts::CachedPolicy> loaded, std::size_t cache_capacity);
  ~PolicyResolver();
  PolicyResolver(const PolicyResolver&) = delete;
  PolicyResolver& operator=(const PolicyResolver&) = delete;

  /// What applies to a delivery to the policy domain now. record_cache: bypass asks for the TXT
  /// record past DNS caches, as is due before giving up under a policy (RFC 8461 §5.1).
  net::Operation resolve(const net::DomainName& policy_domain, net::DnsCacheUse record_cache,
                         Callback done);
  /// What the cache alone says, without any lookup.
  [[nodiscard]] sts::PolicyVerdict known(const net::DomainName& policy_domain);
  [[nodiscard]] const sts::PolicyCache& cache() const { return cache_; }

 private:
  struct Waiter;
  class Wait;
  struct Flight;
  using Key = std::pair<net::DomainName, net::DnsCacheUse>;

  Flight& flight(const Key& key);
  void visit(Flight& flight, const sts::DiscoveryStep& step);
  void query_record(Flight& flight, const sts::QueryRecord& step);
  void fetch(Flight& flight, const sts::FetchPolicy& step);
  void start_fetch(Flight& flight);
  void addresses_found(Flight& flight);
  void fetched(Flight& flight, const sts::FetchResult& result);
  void land(const Flight& flight, const sts::PolicyVerdict& verdict);
  void keep(const std::string& domain, const sts::PolicyVerdict& verdict);
  void log_outcome(const Flight& flight, const sts::PolicyVerdict& verdict);
  void log_fresh(const sts::CachedPolicy* before, const sts::PolicyVerdict& verdict);
  void log_failure(const Flight& flight, const sts::PolicyVerdict& verdict);

  net::EventLoop& loop_;
  const net::Clock& clock_;
  net::DnsClient& dns_;
  net::HttpsClient& https_;
  spool::Spool& spool_;
  Log& log_;
  Options options_;
  sts::PolicyCache cache_;
  std::map<Key, std::unique_ptr<Flight>> flights_;
  std::deque<Flight*> waiting_for_fetch_;
  int fetches_ = 0;
};

}  // namespace relay::delivery
