#include "relay/net/dns_lookup.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace relay::net {
namespace {

constexpr int kMaxAliases = 8;

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

}  // namespace

DnsLookup::DnsLookup(EventLoop& loop, const DnsLookupRules& rules, std::string name, DnsType type,
                     Callback done)
    : loop_(loop),
      rules_(rules),
      name_(std::move(name)),
      type_(type),
      done_(std::move(done)),
      ttl_(std::chrono::seconds(0x7fffffff)) {
  ask();
}

void DnsLookup::ask() {
  exchange_ = std::make_unique<DnsExchange>(loop_, rules_.resolvers[resolver_], name_, type_,
                                            rules_.try_timeout,
                                            [this](DnsReply reply) { on_reply(std::move(reply)); });
}

void DnsLookup::on_reply(DnsReply reply) {
  std::visit(Overloaded{
                 [this](DnsAnswer&& answer) { finish(std::move(answer)); },
                 [this](DnsNoRecord&& absent) { finish(absent); },
                 [this](DnsAlias&& alias) { follow(std::move(alias)); },
                 [this](DnsFailure&& failure) {
                   refusal_ = std::move(failure.reason);
                   ask_next();
                 },
                 [this](DnsSilence&& /*silence*/) {
                   ++silences_;
                   silent_in_round_ = true;
                   ask_next();
                 },
                 [this](DnsUnreachable&& unreachable) {
                   unreachable_ = std::move(unreachable.reason);
                   ask_next();
                 },
             },
             std::move(reply));
}

void DnsLookup::ask_next() {
  if (++resolver_ < rules_.resolvers.size()) {
    return ask();
  }
  resolver_ = 0;
  // Only silence may be a lost datagram; whoever said no says no again.
  if (std::exchange(silent_in_round_, false) && ++round_ < rules_.rounds) {
    return ask();
  }
  if (!refusal_.empty()) {
    finish(DnsFailure{refusal_});
  } else if (silences_ > 0) {
    const std::chrono::duration<double> waited = rules_.try_timeout * silences_;
    finish(DnsFailure{fmt::format("timeout after {:g} s", waited.count())});
  } else {
    finish(DnsFailure{unreachable_});
  }
}

void DnsLookup::follow(DnsAlias alias) {
  if (++aliases_ > kMaxAliases) {
    return finish(DnsFailure{"CNAME chain too long"});
  }
  name_ = std::move(alias.target);
  ttl_ = std::min(ttl_, alias.ttl);
  if (alias.dnssec != DnssecState::secure) {
    dnssec_ = DnssecState::insecure;
  }
  resolver_ = 0;
  round_ = 0;
  silent_in_round_ = false;
  ask();
}

template <class Outcome>
void DnsLookup::finish(Outcome outcome) {
  if constexpr (!std::is_same_v<Outcome, DnsFailure>) {
    outcome.ttl = std::min(outcome.ttl, ttl_);
    outcome.dnssec = std::min(outcome.dnssec, dnssec_);
  }
  const auto done = std::move(done_);
  done(std::move(outcome));
}

}  // namespace relay::net
