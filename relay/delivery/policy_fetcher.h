// Fetches policies by HTTPS (RFC 8461 §3.3): a policy host is asked once however many want to know,
// as FetchPlaces has room for it. Threading: one loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "relay/delivery/destination.h"
#include "relay/delivery/fetch_places.h"
#include "relay/net/dns_client.h"
#include "relay/net/domain_name.h"
#include "relay/net/event_loop.h"
#include "relay/net/https_client.h"
#include "sts/discovery.h"

namespace relay::delivery {

class PolicyFetcher {
 public:
  struct Options {
    std::shared_ptr<FetchPlaces> places;  ///< shared with the fetchers of other workers
    std::uint16_t https_port = 443;
    PrivateAddresses private_addresses = PrivateAddresses::refused;
  };
  /// What it did and does.
  struct Usage {
    std::uint64_t fetches = 0;  ///< begun so far
    int running = 0;
    FetchPlaces::Peaks peaks;  ///< of all that share the places
  };
  using Done = std::function<void(const sts::FetchResult&)>;

  PolicyFetcher(net::EventLoop& loop, net::DnsClient& dns, net::HttpsClient& https,
                Options options);
  /// Nobody is called any more.
  ~PolicyFetcher();
  PolicyFetcher(const PolicyFetcher&) = delete;
  PolicyFetcher& operator=(const PolicyFetcher&) = delete;

  /// Calls done once, later and from the loop; it may destroy the fetcher. A fetch that is under
  /// way or waits for its turn already is joined.
  void fetch(const net::DomainName& policy_host, Done done);
  [[nodiscard]] Usage usage() const;

 private:
  struct Job;

  void pump();
  void look_up(Job& job);
  void addresses_found(Job& job);
  void get(Job& job);
  void finish(Job& job, const sts::FetchResult& result);

  net::DnsClient& dns_;
  net::HttpsClient& https_;
  const Options options_;
  std::unordered_map<std::string, std::unique_ptr<Job>> jobs_;   // by policy host
  std::deque<Job*> waiting_;                                     // for a place
  std::map<std::vector<std::string>, std::deque<Job*>> parked_;  // for one at these addresses, too
  std::uint64_t fetches_ = 0;
  int running_ = 0;
  FetchPlaces::Seat seat_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace relay::delivery
