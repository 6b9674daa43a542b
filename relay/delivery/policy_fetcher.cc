#include "relay/delivery/policy_fetcher.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "relay/delivery/policy_lookup.h"

namespace relay::delivery {
namespace {

constexpr auto kPolicyPath = "/.well-known/mta-sts.txt";  // RFC 8461 §3.3

}  // namespace

// Waits for a place among all; looks up its addresses; waits, without a place, until its address
// takes one more; gets the policy.
struct PolicyFetcher::Job {
  explicit Job(net::DomainName policy_host) : host(std::move(policy_host)) {}

  net::DomainName host;
  std::vector<Done> callbacks;
  std::optional<net::DnsResult> a, aaaa;
  std::vector<net::SocketAddress> addresses;  // empty: not looked up yet
  net::Operation a_query, aaaa_query, get;
};

PolicyFetcher::PolicyFetcher(net::DnsClient& dns, net::HttpsClient& https, Options options)
    : dns_(dns), https_(https), options_(options) {}

PolicyFetcher::~PolicyFetcher() = default;

void PolicyFetcher::fetch(const net::DomainName& policy_host, Done done) {
  auto& job = jobs_[policy_host.text()];
  const bool is_new = job == nullptr;
  if (is_new) {
    job = std::make_unique<Job>(policy_host);
  }
  job->callbacks.push_back(std::move(done));
  if (is_new) {
    ++usage_.fetches;
    waiting_.push_back(job.get());
    pump();
  }
}

void PolicyFetcher::pump() {
  while (usage_.running < options_.concurrent && !waiting_.empty()) {
    Job& job = *waiting_.front();
    waiting_.pop_front();
    ++usage_.running;
    usage_.most_running = std::max(usage_.most_running, usage_.running);
    if (job.addresses.empty()) {
      look_up(job);
    } else {
      get(job);
    }
  }
}

void PolicyFetcher::look_up(Job& job) {
  const auto query = [&](net::DnsType type, std::optional<net::DnsResult>& into) {
    return dns_.query(job.host.text(), type, net::DnsCacheUse::allowed,
                      [this, &job, &into](net::DnsResult answer) {
                        into = std::move(answer);
                        if (job.a && job.aaaa) {
                          addresses_found(job);
                        }
                      });
  };
  job.a_query = query(net::DnsType::a, job.a);
  job.aaaa_query = query(net::DnsType::aaaa, job.aaaa);
}

void PolicyFetcher::addresses_found(Job& job) {
  auto found =
      policy_host_addresses(*job.a, *job.aaaa, options_.https_port, options_.private_addresses);
  if (!found) {
    return finish(job, sts::HttpFailure{false, std::move(found.error())});
  }
  job.addresses = std::move(*found);
  get(job);
}

void PolicyFetcher::get(Job& job) {
  Address& address = addresses_[job.addresses.front().ip()];
  if (address.running >= options_.concurrent_per_address) {
    // Its place goes to another: one slow provider must not hold up all the others.
    address.waiting.push_back(&job);
    --usage_.running;
    return pump();
  }
  ++address.running;
  usage_.most_at_one_address = std::max(usage_.most_at_one_address, address.running);
  const net::HttpsRequest request{job.host, options_.https_port, kPolicyPath, job.addresses};
  job.get =
      https_.get(request, [this, &job](Expected<net::HttpsResponse, net::HttpsFailure> response) {
        got(job, fetch_result(std::move(response)));
      });
}

void PolicyFetcher::got(Job& job, const sts::FetchResult& result) {
  const auto address = addresses_.find(job.addresses.front().ip());
  --address->second.running;
  if (!address->second.waiting.empty()) {
    waiting_.push_front(address->second.waiting.front());
    address->second.waiting.pop_front();
  }
  if (address->second.running == 0 && address->second.waiting.empty()) {
    addresses_.erase(address);
  }
  finish(job, result);
}

void PolicyFetcher::finish(Job& job, const sts::FetchResult& result) {
  --usage_.running;
  const std::vector<Done> callbacks = std::move(job.callbacks);
  jobs_.erase(jobs_.find(job.host.text()));
  pump();
  const std::weak_ptr<int> alive = alive_;
  for (const Done& done : callbacks) {
    if (alive.expired()) {
      return;
    }
    done(result);
  }
}

}  // namespace relay::delivery
