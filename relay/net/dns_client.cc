#include "relay/net/dns_client.h"

#include <algorithm>
#include <list>
#include <optional>
#include <sstream>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>

#include "relay/net/call_queue.h"
#include "relay/net/dns_cache.h"
#include "relay/net/dns_lookup.h"
#include "relay/net/dns_wire.h"
#include "relay/net/dnssec_lookup.h"

namespace relay::net {
namespace {

constexpr std::size_t kCacheEntries = 20'000;
constexpr std::uint16_t kDnsPort = 53;

constexpr std::size_t kZoneEntries = 10'000;

DnsLookupRules lookup_rules(const DnsClientOptions& options) {
  DnsLookupRules rules{{}, options.try_timeout, options.rounds};
  for (const SocketAddress& address : options.resolvers) {
    const bool trusted = std::ranges::find(options.trust_ad, address) != options.trust_ad.end();
    rules.resolvers.push_back({address, trusted ? AdTrust::trusted : AdTrust::ignored});
  }
  return rules;
}

std::string probe_text(const DnsResult& result, DnssecMode mode) {
  const auto* answer = std::get_if<DnsAnswer>(&result);
  if (answer != nullptr && answer->dnssec == DnssecState::secure) {
    return "secure";
  }
  if (const auto* failure = std::get_if<DnsFailure>(&result)) {
    return "not-secure: " + failure->reason;
  }
  if (answer == nullptr) {
    return "not-secure: the resolver knows no keys of the root zone";
  }
  switch (mode) {
    case DnssecMode::trust_ad:
      return "not-secure: no resolver with dns.trust_ad says that the root zone's keys are good";
    case DnssecMode::validate:
      break;
  }
  return "not-secure: no trust anchor for the root zone";
}

}  // namespace

struct DnsClient::State {
  class Waiter;

  /// A question under way and who waits for it.
  struct Flight {
    std::list<Waiter*> waiters;
    std::variant<std::unique_ptr<DnsLookup>, std::unique_ptr<DnssecLookup>> lookup;
  };
  using Flights = std::unordered_map<DnsCacheKey, Flight, DnsCacheKeyHash>;

  State(EventLoop& event_loop, const Clock& steady_clock, DnsClientOptions given)
      : loop(event_loop),
        clock(steady_clock),
        options(std::move(given)),
        rules(lookup_rules(options)),
        trust(event_loop, steady_clock, rules, options.anchors, kZoneEntries),
        calls(event_loop) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  State(State&&) = delete;
  State& operator=(State&&) = delete;
  ~State();

  void join(const DnsCacheKey& key, Waiter& waiter);
  void take_off(const DnsCacheKey& key, Flight& flight);
  void leave(const DnsCacheKey& key, std::list<Waiter*>::iterator place);
  void land(const DnsCacheKey& key, DnsResult result);
  void limit_ttl(DnsResult& result) const;

  EventLoop& loop;
  const Clock& clock;
  const DnsClientOptions options;
  const DnsLookupRules rules;
  DnssecTrust trust;
  DnsCache cache{kCacheEntries};
  Flights flights;
  std::list<Waiter*> all;
  CallQueue calls;
};

/// One caller's interest in a result: waiting for a flight, then for its turn in the call queue.
class DnsClient::State::Waiter final : public Operation::Task {
 public:
  Waiter(State& state, Callback done)
      : state_(&state),
        done_(std::move(done)),
        registered_(state.all.insert(state.all.end(), this)) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  Waiter(Waiter&&) = delete;
  Waiter& operator=(Waiter&&) = delete;

  ~Waiter() override {
    if (state_ == nullptr) {
      return;
    }
    if (ticket_) {
      state_->calls.withdraw(*ticket_);
    }
    state_->all.erase(registered_);
    if (key_) {
      state_->leave(*key_, place_);
    }
  }

  void wait_for(const DnsCacheKey& key, std::list<Waiter*>& waiters) {
    key_ = key;
    place_ = waiters.insert(waiters.end(), this);
  }

  void hand_over_soon(std::shared_ptr<const DnsResult> result) {
    key_.reset();
    ticket_ = state_->calls.push([this, result = std::move(result)] {
      ticket_.reset();
      state_->all.erase(registered_);
      state_ = nullptr;
      const auto done = std::move(done_);
      done(*result);
    });
  }

  /// The client ends: nothing will be called.
  void abandon() { state_ = nullptr; }

 private:
  State* state_;
  Callback done_;
  std::list<Waiter*>::iterator registered_;
  std::optional<DnsCacheKey> key_;  // of the flight waited for
  std::list<Waiter*>::iterator place_;
  std::optional<CallQueue::Ticket> ticket_;
};

DnsClient::State::~State() {
  for (Waiter* waiter : all) {
    waiter->abandon();
  }
}

void DnsClient::State::join(const DnsCacheKey& key, Waiter& waiter) {
  const auto [found, is_new] = flights.try_emplace(key);
  waiter.wait_for(key, found->second.waiters);
  if (is_new) {
    take_off(key, found->second);
  }
}

void DnsClient::State::take_off(const DnsCacheKey& key, Flight& flight) {
  auto landed = [this, key](DnsResult result) { land(key, std::move(result)); };
  switch (options.dnssec) {
    case DnssecMode::trust_ad:
      flight.lookup =
          std::make_unique<DnsLookup>(loop, rules, key.name, key.type, std::move(landed));
      break;
    case DnssecMode::validate:
      flight.lookup = std::make_unique<DnssecLookup>(trust, key.name, key.type, std::move(landed));
      break;
  }
}

void DnsClient::State::leave(const DnsCacheKey& key, std::list<Waiter*>::iterator place) {
  const auto found = flights.find(key);
  if (found == flights.end()) {
    return;
  }
  found->second.waiters.erase(place);
  if (found->second.waiters.empty()) {
    flights.erase(found);
  }
}

void DnsClient::State::land(const DnsCacheKey& key, DnsResult result) {
  limit_ttl(result);
  cache.put(key, result, clock.steady());
  const auto shared = std::make_shared<const DnsResult>(std::move(result));
  const auto flight = flights.extract(key);
  for (Waiter* waiter : flight.mapped().waiters) {
    waiter->hand_over_soon(shared);
  }
}

void DnsClient::State::limit_ttl(DnsResult& result) const {
  const bool absent = std::holds_alternative<DnsNoRecord>(result);
  set_ttl(result, std::min(ttl_of(result), absent ? options.max_negative_ttl : options.max_ttl));
}

DnsClient::DnsClient(EventLoop& loop, const Clock& clock, DnsClientOptions options)
    : state_(std::make_unique<State>(loop, clock, std::move(options))) {}

DnsClient::~DnsClient() = default;

Operation DnsClient::query(const std::string& name, DnsType type, DnsCacheUse cache,
                           Callback done) {
  auto waiter = std::make_unique<State::Waiter>(*state_, std::move(done));
  const DnsCacheKey key{lower_case(name), type};
  std::optional<DnsResult> known;
  if (!askable(key.name)) {
    known = DnsNoRecord{};
  } else if (state_->rules.resolvers.empty()) {
    known = DnsFailure{"no resolver configured"};
  } else if (cache == DnsCacheUse::allowed) {
    known = state_->cache.find(key, state_->clock.steady());
  }
  if (known) {
    waiter->hand_over_soon(std::make_shared<const DnsResult>(std::move(*known)));
  } else {
    state_->join(key, *waiter);
  }
  return Operation(std::move(waiter));
}

DnssecMode DnsClient::dnssec_mode() const {
  return state_->options.dnssec;
}

Operation DnsClient::probe_dnssec(std::function<void(std::string)> done) {
  return query(std::string(kRootName), DnsType::dnskey, DnsCacheUse::bypass,
               [mode = state_->options.dnssec, done = std::move(done)](DnsResult result) {
                 done(probe_text(result, mode));
               });
}

std::vector<SocketAddress> system_resolvers(const std::string& resolv_conf_text) {
  std::vector<SocketAddress> resolvers;
  std::istringstream lines(resolv_conf_text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string keyword;
    std::string ip;
    if (words >> keyword >> ip && keyword == "nameserver") {
      if (const auto address = SocketAddress::from_ip(ip, kDnsPort)) {
        resolvers.push_back(*address);
      }
    }
  }
  if (resolvers.empty()) {
    resolvers.push_back(*SocketAddress::from_ip("127.0.0.1", kDnsPort));
  }
  return resolvers;
}

}  // namespace relay::net
