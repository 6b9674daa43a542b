#include "relay/net/dns_lookup.h"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace relay::net {
namespace {

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
  inquiry_ =
      std::make_unique<DnsInquiry>(loop_, rules_, DnsAsk{name_, type_},
                                   [this](DnsInquiry::Reply reply) { on_reply(std::move(reply)); });
}

void DnsLookup::on_reply(DnsInquiry::Reply reply) {
  std::visit(Overloaded{
                 [this](DnsAnswer&& answer) { finish(std::move(answer)); },
                 [this](DnsNoRecord&& absent) { finish(absent); },
                 [this](DnsAlias&& alias) { follow(std::move(alias)); },
                 [this](DnsFailure&& failure) { finish(std::move(failure)); },
                 [this](DnsRaw&& /*raw*/) { finish(DnsFailure{"answer not read"}); },
             },
             std::move(reply));
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
