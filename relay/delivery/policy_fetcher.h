// Fetches policies by HTTPS (RFC 8461 §3.3): a policy host is asked once however many want to know,
// so many hosts at a time in all, and so many at one address. Threading: one loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "relay/delivery/destination.h"
#include "relay/net/dns_client.h"
#include "relay/net/domain_name.h"
#include "relay/net/https_client.h"
#include "sts/discovery.h"

namespace relay::delivery {

class PolicyFetcher {
 public:
  struct Options {
    int concurrent = 64;
    int concurrent_per_address = 4;  ///< by the first address of a policy host
    std::uint16_t https_port = 443;
    PrivateAddresses private_addresses = PrivateAddresses::refused;
  };
  /// What it did and does.
  struct Usage {
    std::uint64_t fetches = 0;  ///< begun so far
    int running = 0, most_running = 0;
    int most_at_one_address = 0;
  };
  using Done = std::function<void(const sts::FetchResult&)>;

  PolicyFetcher(net::DnsClient& dns, net::HttpsClient& https, Options options);
  /// Nobody is called any more.
  ~PolicyFetcher();
  PolicyFetcher(const PolicyFetcher&) = delete;
  PolicyFetcher& operator=(const PolicyFetcher&) = delete;

  /// Calls done once, later and from the loop; it may destroy the fetcher. A fetch that is under
  /// way or waits for its turn already is joined.
  void fetch(const net::DomainName& policy_host, Done done);
  [[nodiscard]] const Usage& usage() const { return usage_; }

 private:
  struct Job;
  struct Address {
    int running = 0;
    std::deque<Job*> waiting;
  };

  void pump();
  void look_up(Job& job);
  void addresses_found(Job& job);
  void get(Job& job);
  void got(Job& job, const sts::FetchResult& result);
  void finish(Job& job, const sts::FetchResult& result);

  net::DnsClient& dns_;
  net::HttpsClient& https_;
  const Options options_;
  std::unordered_map<std::string, std::unique_ptr<Job>> jobs_;  // by policy host
  std::deque<Job*> waiting_;
  std::map<std::string, Address> addresses_;  // with fetches under way
  Usage usage_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace relay::delivery
