#include "relay/delivery/policy_resolver.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "relay/delivery/policy_lookup.h"

namespace relay::delivery {
namespace {

constexpr auto kPolicyPath = "/.well-known/mta-sts.txt";  // RFC 8461 §3.3

std::optional<std::string> to_ascii(std::string_view text) {
  auto name = net::DomainName::parse(text);
  return name ? std::optional{name->text()} : std::nullopt;
}

std::string seconds_text(std::chrono::milliseconds duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

}  // namespace

// A delivery that waits. Its callback is empty once it was called or cancelled.
struct PolicyResolver::Waiter {
  Waiter(PolicyResolver& resolver, const sts::Discovery& discovery, Callback callback)
      : done(std::move(callback)),
        deadline(resolver.loop_, [this, &discovery] { answer(discovery.without_waiting()); }) {
    deadline.start(resolver.options_.first_contact_wait);
  }

  void answer(const sts::PolicyVerdict& verdict) {
    deadline.stop();
    if (const Callback callback = std::exchange(done, nullptr)) {
      callback(verdict);
    }
  }
  void cancel() {
    deadline.stop();
    done = nullptr;
  }

  Callback done;
  net::Timer deadline;
};

// The waiting as its owner holds it; what is under way goes on without him.
class PolicyResolver::Wait final : public net::Operation::Task {
 public:
  explicit Wait(std::shared_ptr<Waiter> waiter) : waiter_(std::move(waiter)) {}
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  Wait(Wait&&) = delete;
  Wait& operator=(Wait&&) = delete;
  ~Wait() override { waiter_->cancel(); }

 private:
  std::shared_ptr<Waiter> waiter_;
};

// One discovery under way and everyone who waits for it.
struct PolicyResolver::Flight {
  Flight(Key question, std::shared_ptr<const sts::CachedPolicy> cached,
         const sts::FetchBackoff* backoff)
      : key(std::move(question)),
        before(std::move(cached)),
        discovery(key.first.text(), before, backoff, to_ascii) {}
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;
  Flight(Flight&&) = delete;
  Flight& operator=(Flight&&) = delete;
  ~Flight() {
    for (const auto& waiter : waiters) {
      waiter->cancel();
    }
  }

  [[nodiscard]] const std::string& domain() const { return key.first.text(); }

  const Key key;
  const std::shared_ptr<const sts::CachedPolicy> before;
  sts::Discovery discovery;
  std::vector<std::shared_ptr<Waiter>> waiters;
  std::optional<net::DomainName> policy_host;
  std::optional<net::DnsResult> a, aaaa;
  net::Operation record_query, a_query, aaaa_query, get;
};

PolicyResolver::PolicyResolver(net::EventLoop& loop, const net::Clock& clock, net::DnsClient& dns,
                               net::HttpsClient& https, spool::Spool& spool, Log& log,
                               Options options, std::vector<sts::CachedPolicy> loaded,
                               std::size_t cache_capacity)
    : loop_(loop),
      clock_(clock),
      dns_(dns),
      https_(https),
      spool_(spool),
      log_(log),
      options_(options),
      cache_(cache_capacity) {
  const net::WallTime now = clock_.wall();
  for (sts::CachedPolicy& policy : loaded) {
    const std::string domain = policy.domain;
    const auto expires_at = policy.expires_at;
    cache_.store(std::make_shared<const sts::CachedPolicy>(std::move(policy)), now);
    const auto kept = cache_.find(domain, now);
    if (kept == nullptr && expires_at <= now) {
      spool_.forget_policy(domain);
    } else if (kept != nullptr && kept->expires_at != expires_at) {
      // The clock was set back: a life shortened once must not begin anew with each start.
      spool_.save_policy(*kept);
    }
  }
}

PolicyResolver::~PolicyResolver() = default;

net::Operation PolicyResolver::resolve(const net::DomainName& policy_domain,
                                       net::DnsCacheUse record_cache, Callback done) {
  Flight& joined = flight({policy_domain, record_cache});
  // A cancelled delivery leaves nothing behind however long the flight takes.
  std::erase_if(joined.waiters, [](const auto& waiter) { return waiter->done == nullptr; });
  auto waiter = std::make_shared<Waiter>(*this, joined.discovery, std::move(done));
  joined.waiters.push_back(waiter);
  return net::Operation{std::make_unique<Wait>(std::move(waiter))};
}

sts::PolicyVerdict PolicyResolver::known(const net::DomainName& policy_domain) {
  sts::PolicyVerdict verdict;
  verdict.policy = cache_.find(policy_domain.text(), clock_.wall());
  verdict.source = verdict.policy != nullptr ? sts::PolicyVerdict::Source::cache
                                             : sts::PolicyVerdict::Source::none;
  return verdict;
}

PolicyResolver::Flight& PolicyResolver::flight(const Key& key) {
  const auto found = flights_.find(key);
  if (found != flights_.end()) {
    return *found->second;
  }
  const std::string& domain = key.first.text();
  auto started =
      std::make_unique<Flight>(key, cache_.find(domain, clock_.wall()), cache_.backoff(domain));
  Flight& flight = *flights_.emplace(key, std::move(started)).first->second;
  visit(flight, flight.discovery.start());
  return flight;
}

void PolicyResolver::visit(Flight& flight, const sts::DiscoveryStep& step) {
  if (const auto* query = std::get_if<sts::QueryRecord>(&step)) {
    query_record(flight, *query);
  } else if (const auto* get = std::get_if<sts::FetchPolicy>(&step)) {
    fetch(flight, *get);
  } else {
    land(flight, std::get<sts::PolicyVerdict>(step));
  }
}

void PolicyResolver::query_record(Flight& flight, const sts::QueryRecord& step) {
  flight.record_query = dns_.query(
      step.name, net::DnsType::txt, flight.key.second, [this, &flight](net::DnsResult answer) {
        visit(flight, flight.discovery.on_record(record_result(std::move(answer)), clock_.wall()));
      });
}

void PolicyResolver::fetch(Flight& flight, const sts::FetchPolicy& step) {
  auto host = net::DomainName::parse(step.host);
  if (!host) {
    return visit(flight, flight.discovery.on_policy(sts::HttpFailure{false, "bad-host-name"},
                                                    clock_.wall()));
  }
  flight.policy_host = std::move(*host);
  if (fetches_ < options_.concurrent_fetches) {
    start_fetch(flight);
  } else {
    waiting_for_fetch_.push_back(&flight);
  }
}

void PolicyResolver::start_fetch(Flight& flight) {
  ++fetches_;
  const auto query = [&](net::DnsType type, std::optional<net::DnsResult>& into) {
    return dns_.query(flight.policy_host->text(), type, net::DnsCacheUse::allowed,
                      [this, &flight, &into](net::DnsResult answer) {
                        into = std::move(answer);
                        if (flight.a && flight.aaaa) {
                          addresses_found(flight);
                        }
                      });
  };
  flight.a_query = query(net::DnsType::a, flight.a);
  flight.aaaa_query = query(net::DnsType::aaaa, flight.aaaa);
}

void PolicyResolver::addresses_found(Flight& flight) {
  auto addresses = policy_host_addresses(*flight.a, *flight.aaaa, options_.https_port,
                                         options_.private_addresses);
  if (!addresses) {
    return fetched(flight, sts::HttpFailure{false, std::move(addresses.error())});
  }
  const net::HttpsRequest request{*flight.policy_host, options_.https_port, kPolicyPath,
                                  std::move(*addresses)};
  flight.get = https_.get(
      request, [this, &flight](Expected<net::HttpsResponse, net::HttpsFailure> response) {
        fetched(flight, fetch_result(std::move(response)));
      });
}

void PolicyResolver::fetched(Flight& flight, const sts::FetchResult& result) {
  --fetches_;
  if (!waiting_for_fetch_.empty()) {
    Flight& next = *waiting_for_fetch_.front();
    waiting_for_fetch_.pop_front();
    start_fetch(next);
  }
  visit(flight, flight.discovery.on_policy(result, clock_.wall()));
}

void PolicyResolver::land(const Flight& flight, const sts::PolicyVerdict& verdict) {
  log_outcome(flight, verdict);
  keep(flight.domain(), verdict);
  // Whoever is called may destroy the resolver and the clients that the flight's operations use.
  auto landed = flights_.extract(flight.key);
  const auto waiters = std::exchange(landed.mapped()->waiters, {});
  landed.mapped().reset();
  for (const auto& waiter : waiters) {
    waiter->answer(verdict);
  }
}

void PolicyResolver::keep(const std::string& domain, const sts::PolicyVerdict& verdict) {
  const net::WallTime now = clock_.wall();
  const auto lost = verdict.policy == nullptr ? cache_.take_expired(domain, now) : nullptr;
  if (lost != nullptr) {
    log_.warning("policy-lost", {{"domain", domain},
                                 {"mode", std::string{sts::name(lost->policy.mode)}},
                                 {"id", lost->id},
                                 {"reason", verdict.note}});
  }
  sts::remember(cache_, domain, verdict, now);
  if (verdict.store != nullptr) {
    spool_.save_policy(*verdict.store);
  } else if (verdict.forget || lost != nullptr) {
    spool_.forget_policy(domain);
  }
}

void PolicyResolver::log_outcome(const Flight& flight, const sts::PolicyVerdict& verdict) {
  if (verdict.source == sts::PolicyVerdict::Source::fetched) {
    log_fresh(flight.before.get(), verdict);
  } else if (verdict.backoff) {
    log_failure(flight, verdict);
  } else {
    log_.debug("policy", {{"domain", flight.domain()}, {"note", verdict.note}});
  }
}

void PolicyResolver::log_fresh(const sts::CachedPolicy* before, const sts::PolicyVerdict& verdict) {
  const sts::CachedPolicy& fresh = *verdict.policy;
  const std::string mode{sts::name(fresh.policy.mode)};
  log_.info("policy-fetched", {{"domain", fresh.domain},
                               {"mode", mode},
                               {"id", fresh.id},
                               {"max_age", seconds_text(fresh.policy.max_age)},
                               {"mx", std::to_string(fresh.policy.mx.size())},
                               {"diagnostics", diagnostics_text(verdict.diagnostics)}});
  if (before != nullptr && weakens(before->policy.mode, fresh.policy.mode)) {
    log_.warning("policy-weakened", {{"domain", fresh.domain},
                                     {"from", std::string{sts::name(before->policy.mode)}},
                                     {"to", mode},
                                     {"old_id", before->id},
                                     {"id", fresh.id}});
  }
}

void PolicyResolver::log_failure(const Flight& flight, const sts::PolicyVerdict& verdict) {
  const sts::FetchBackoff& backoff = *verdict.backoff;
  // Whoever said none is expected to take the policy away: no alert (RFC 8461 §8.3).
  const auto level = verdict.fault ? conf::LogLevel::warning : conf::LogLevel::debug;
  log_.write(
      level, "policy-fetch-failed",
      {{"domain", flight.domain()},
       {"id", backoff.id},
       {"fault", backoff.fault ? std::string{name(backoff.fault->kind)} : ""},
       {"reason", backoff.fault ? backoff.fault->reason : ""},
       {"cached", flight.before ? std::string{sts::name(flight.before->policy.mode)} : ""},
       {"expires_in", flight.before ? seconds_text(flight.before->expires_at - clock_.wall()) : ""},
       {"retry_in", seconds_text(backoff.retry_at - clock_.wall())},
       {"diagnostics", diagnostics_text(verdict.diagnostics)}});
}

}  // namespace relay::delivery
