#include "relay/delivery/policy_fetcher.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "relay/delivery/policy_lookup.h"

namespace relay::delivery {
namespace {

constexpr auto kPolicyPath = "/.well-known/mta-sts.txt";  // RFC 8461 §3.3

}  // namespace

// Waits for a place among all; looks up its addresses; waits, without a place, until each of them
// takes one more (any of them may be connected to); gets the policy.
struct PolicyFetcher::Job {
  explicit Job(net::DomainName policy_host) : host(std::move(policy_host)) {}

  net::DomainName host;
  std::vector<Done> callbacks;
  std::optional<net::DnsResult> a, aaaa;
  std::vector<net::SocketAddress> addresses;
  std::vector<std::string> ips;   // of the addresses, in order, each once
  std::vector<std::string> held;  // those at which it has a place
  enum class State { waits, runs } state = State::waits;
  net::Operation a_query, aaaa_query, get;
};

PolicyFetcher::PolicyFetcher(net::EventLoop& loop, net::DnsClient& dns, net::HttpsClient& https,
                             Options options)
    : dns_(dns),
      https_(https),
      options_(std::move(options)),
      seat_(options_.places, loop, [this] { pump(); }) {}

PolicyFetcher::~PolicyFetcher() {
  for (const auto& [host, job] : jobs_) {
    if (job->state == Job::State::runs) {
      seat_.give_back(job->held);
    }
  }
}

PolicyFetcher::Usage PolicyFetcher::usage() const {
  return {fetches_, running_, options_.places->peaks()};
}

void PolicyFetcher::fetch(const net::DomainName& policy_host, Done done) {
  auto& job = jobs_[policy_host.text()];
  const bool is_new = job == nullptr;
  if (is_new) {
    job = std::make_unique<Job>(policy_host);
  }
  job->callbacks.push_back(std::move(done));
  if (is_new) {
    ++fetches_;
    waiting_.push_back(job.get());
    pump();
  }
}

void PolicyFetcher::pump() {
  for (auto group = parked_.begin(); group != parked_.end();) {
    auto& [ips, jobs] = *group;
    while (!jobs.empty() && seat_.take(ips)) {
      Job& job = *jobs.front();
      jobs.pop_front();
      ++running_;
      job.state = Job::State::runs;
      job.held = job.ips;
      get(job);
    }
    group = jobs.empty() ? parked_.erase(group) : std::next(group);
  }
  while (!waiting_.empty() && seat_.take()) {
    Job& job = *waiting_.front();
    waiting_.pop_front();
    ++running_;
    job.state = Job::State::runs;
    look_up(job);
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
  for (const net::SocketAddress& address : job.addresses) {
    job.ips.push_back(address.ip());
  }
  std::sort(job.ips.begin(), job.ips.end());
  job.ips.erase(std::unique(job.ips.begin(), job.ips.end()), job.ips.end());
  if (seat_.take_at(job.ips)) {
    job.held = job.ips;
    return get(job);
  }
  // Its place goes to another: one slow provider must not hold up all the others.
  parked_[job.ips].push_back(&job);
  job.state = Job::State::waits;
  --running_;
  seat_.give_back();
}

void PolicyFetcher::get(Job& job) {
  const net::HttpsRequest request{job.host, options_.https_port, kPolicyPath, job.addresses};
  job.get =
      https_.get(request, [this, &job](Expected<net::HttpsResponse, net::HttpsFailure> response) {
        finish(job, fetch_result(std::move(response)));
      });
}

void PolicyFetcher::finish(Job& job, const sts::FetchResult& result) {
  --running_;
  const std::vector<Done> callbacks = std::move(job.callbacks);
  const std::vector<std::string> held = std::move(job.held);
  jobs_.erase(jobs_.find(job.host.text()));
  seat_.give_back(held);
  const std::weak_ptr<int> alive = alive_;
  for (const Done& done : callbacks) {
    if (alive.expired()) {
      return;
    }
    done(result);
  }
}

}  // namespace relay::delivery
