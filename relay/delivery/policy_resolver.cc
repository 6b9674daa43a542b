#include "relay/delivery/policy_resolver.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "relay/delivery/chance.h"
#include "relay/delivery/policy_lookup.h"

namespace relay::delivery {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

// Each takes a socket of its own.
constexpr int kLookups = 256;
// So many fetches, of those allowed, are left to the background.
constexpr int kBackgroundShare = 4;
// The clock may be set meanwhile.
constexpr milliseconds kLongestSleep{minutes{1}};
constexpr milliseconds kShortestSleep{50};

std::optional<std::string> to_ascii(std::string_view text) {
  auto name = net::DomainName::parse(text);
  return name ? std::optional{name->text()} : std::nullopt;
}

PolicyFetcher::Options fetcher_options(const PolicyResolver::Options& options) {
  auto places = options.fetch_places;
  if (places == nullptr) {
    places = std::make_shared<FetchPlaces>(
        FetchPlaces::Limits{options.concurrent_fetches, options.concurrent_fetches_per_host});
  }
  return {std::move(places), options.https_port, options.private_addresses};
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
         const sts::FetchBackoff* backoff, const sts::Approach& how)
      : key(std::move(question)),
        approach(how),
        before(std::move(cached)),
        discovery(key.first.text(), before, backoff, to_ascii, how) {}
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
  /// Whether a delivery still waits.
  [[nodiscard]] bool awaited() const {
    return key.second != sts::Purpose::order &&
           std::any_of(waiters.begin(), waiters.end(),
                       [](const auto& waiter) { return waiter->done != nullptr; });
  }

  const Key key;
  const sts::Approach approach;
  const std::shared_ptr<const sts::CachedPolicy> before;
  sts::Discovery discovery;
  std::vector<std::shared_ptr<Waiter>> waiters;
  net::Operation record_query;
};

PolicyResolver::PolicyResolver(net::EventLoop& loop, const net::Clock& clock, net::DnsClient& dns,
                               net::HttpsClient& https, spool::Spool& spool, Log& log,
                               Options options, const StoredPolicies& loaded,
                               std::size_t cache_capacity)
    : loop_(loop),
      clock_(clock),
      dns_(dns),
      options_(std::move(options)),
      random_(given_or_chance(options_.random)),
      keeper_(loop, clock, spool, log, {cache_capacity, options_.history, options_.random}),
      refresh_timer_(loop, [this] { refresh_due(); }),
      fetcher_(loop, dns, https, fetcher_options(options_)) {
  keeper_.load(loaded);
}

PolicyResolver::~PolicyResolver() = default;

void PolicyResolver::begin() {
  begun_ = true;
  arm();
}

net::Operation PolicyResolver::resolve(const net::DomainName& policy_domain,
                                       net::DnsCacheUse record_cache, Callback done) {
  const sts::Purpose purpose =
      record_cache == net::DnsCacheUse::bypass ? sts::Purpose::recheck : sts::Purpose::delivery;
  auto waiter = join({policy_domain, purpose}, std::move(done));
  return net::Operation{std::make_unique<Wait>(std::move(waiter))};
}

void PolicyResolver::refresh(const net::DomainName& policy_domain, Callback done) {
  join({policy_domain, sts::Purpose::order}, std::move(done));
}

std::shared_ptr<PolicyResolver::Waiter> PolicyResolver::join(const Key& key, Callback done) {
  Flight& joined = flight(key);
  // A cancelled delivery leaves nothing behind however long the flight takes.
  std::erase_if(joined.waiters, [](const auto& waiter) { return waiter->done == nullptr; });
  auto waiter = std::make_shared<Waiter>(*this, joined.discovery, std::move(done));
  joined.waiters.push_back(waiter);
  return waiter;
}

sts::PolicyVerdict PolicyResolver::known(const net::DomainName& policy_domain) const {
  sts::PolicyVerdict verdict;
  verdict.policy = cache().peek(policy_domain.text(), clock_.wall());
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
  const net::WallTime now = clock_.wall();
  const sts::Approach how = approach(domain, key.second);
  auto cached = key.second == sts::Purpose::delivery ? keeper_.cache().find(domain, now)
                                                     : keeper_.cache().peek(domain, now);
  auto started =
      std::make_unique<Flight>(key, std::move(cached), keeper_.cache().backoff(domain), how);
  Flight& flight = *flights_.emplace(key, std::move(started)).first->second;
  grounded_.push_back(&flight);
  take_off();
  return flight;
}

sts::Approach PolicyResolver::approach(const std::string& domain, sts::Purpose purpose) const {
  if (purpose == sts::Purpose::recheck && !keeper_.cache().may_recheck(domain, clock_.wall())) {
    purpose = sts::Purpose::delivery;
  }
  return {purpose, options_.first_contact, options_.on_dns_failure, random_()};
}

void PolicyResolver::take_off() {
  while (lookups_ < kLookups && !grounded_.empty()) {
    Flight& flight = *grounded_.front();
    grounded_.pop_front();
    ++lookups_;
    visit(flight, flight.discovery.start());
  }
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
  const auto cache_use = flight.key.second == sts::Purpose::delivery ? net::DnsCacheUse::allowed
                                                                     : net::DnsCacheUse::bypass;
  flight.record_query =
      dns_.query(step.name, net::DnsType::txt, cache_use, [this, &flight](net::DnsResult answer) {
        --lookups_;
        take_off();
        visit(flight, flight.discovery.on_record(record_result(std::move(answer)), clock_.wall()));
      });
}

void PolicyResolver::fetch(Flight& flight, const sts::FetchPolicy& step) {
  const auto host = net::DomainName::parse(step.host);
  if (!host) {
    return visit(flight, flight.discovery.on_policy(sts::HttpFailure{false, "bad-host-name"},
                                                    clock_.wall()));
  }
  if (flight.approach.purpose == sts::Purpose::recheck) {
    keeper_.cache().note_recheck(flight.domain(), clock_.wall());
  }
  fetcher_.fetch(*host, [this, &flight](const sts::FetchResult& result) {
    visit(flight, flight.discovery.on_policy(result, clock_.wall()));
  });
}

void PolicyResolver::land(const Flight& flight, const sts::PolicyVerdict& verdict) {
  const sts::Purpose purpose = flight.key.second;
  keeper_.keep({flight.domain(), flight.before.get(), purpose,
                flight.awaited() ? sts::FetchedFor::delivery : sts::FetchedFor::stock, verdict});
  // Whoever is called may destroy the resolver and the clients that the flight's operations use.
  auto landed = flights_.extract(flight.key);
  const auto waiters = std::exchange(landed.mapped()->waiters, {});
  landed.mapped().reset();
  if (purpose == sts::Purpose::refresh) {
    --refreshes_;
    refresh_due();
  } else if (verdict.store != nullptr || verdict.backoff) {
    arm();
  }
  for (const auto& waiter : waiters) {
    waiter->answer(verdict);
  }
}

void PolicyResolver::refresh_due() {
  while (begun_ && refreshes_ < most_refreshes()) {
    const auto domain = keeper_.cache().take_due(clock_.wall());
    if (!domain) {
      break;
    }
    start_refresh(*domain);
  }
  arm();
}

void PolicyResolver::start_refresh(const std::string& domain) {
  const auto policy = keeper_.cache().peek(domain, clock_.wall());
  if (policy == nullptr) {
    return keeper_.lose(domain, "it was not replaced in time");
  }
  const auto interest =
      keeper_.cache().wanted(domain) ? sts::Interest::wanted : sts::Interest::lost;
  if (!sts::worth_refreshing(*policy, interest)) {
    return keeper_.cache().plan(domain, policy->expires_at);
  }
  const auto name = net::DomainName::parse(domain);
  if (name && !flights_.contains({*name, sts::Purpose::refresh})) {
    ++refreshes_;
    ++started_refreshes_;
    flight({*name, sts::Purpose::refresh});
  }
}

int PolicyResolver::most_refreshes() const {
  return std::max(1, options_.concurrent_fetches / kBackgroundShare);
}

void PolicyResolver::arm() {
  const auto next = keeper_.cache().next_plan();
  // With all places taken, the next refresh that ends goes on.
  if (!begun_ || !next || refreshes_ >= most_refreshes()) {
    return refresh_timer_.stop();
  }
  const milliseconds wait = *next - clock_.wall();
  refresh_timer_.start(std::clamp(wait, kShortestSleep, kLongestSleep));
}

}  // namespace relay::delivery
