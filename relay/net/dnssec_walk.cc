#include "relay/net/dnssec_walk.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

namespace relay::net {
namespace {

// RFC 8767 and RFC 9520 would allow more; a zone that changes its keys is seen within the hour.
constexpr std::chrono::seconds kLongestTrust{3600};

}  // namespace

std::optional<ZoneTrust> DnssecZones::find(const std::string& name, SteadyTime now) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    return std::nullopt;
  }
  if (found->second->until <= now) {
    entries_.erase(found->second);
    by_name_.erase(found);
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->trust;
}

void DnssecZones::put(const std::string& name, ZoneTrust trust, std::chrono::seconds ttl,
                      SteadyTime now) {
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    entries_.erase(found->second);
    by_name_.erase(found);
  } else if (entries_.size() >= capacity_) {
    by_name_.erase(entries_.back().name);
    entries_.pop_back();
  }
  entries_.push_front({name, std::move(trust), now + std::min(ttl, kLongestTrust)});
  by_name_.emplace(name, entries_.begin());
}

DnssecWalk::DnssecWalk(const DnssecAnchors& anchors, DnssecZones& zones, std::string goal)
    : anchors_(anchors), zones_(zones), goal_(std::move(goal)) {}

DnssecWalk::Step DnssecWalk::start(DnssecTime now) {
  next_ = anchors_.zone_for(goal_);
  if (next_.empty()) {
    return Untrusted{};
  }
  reached_ = next_;
  if (const auto known = zones_.find(next_, now.steady); known && known->keys) {
    keys_ = known->keys;
    return walk(now);
  }
  signers_ = anchors_.of(next_);
  signers_ttl_ = kLongestTrust;
  return ask(DnsType::dnskey);
}

DnssecWalk::Step DnssecWalk::on_message(const DnssecMessage& message, DnssecTime now) {
  return signers_ ? on_keys(message, now) : on_delegation(message, now);
}

DnssecWalk::Step DnssecWalk::walk(DnssecTime now) {
  while (reached_ != goal_) {
    next_ = child_towards(reached_, goal_);
    const auto known = zones_.find(next_, now.steady);
    if (!known) {
      return ask(DnsType::ds);
    }
    if (auto end = enter(next_, *known)) {
      return std::move(*end);
    }
  }
  return Trusted{keys_};
}

DnssecWalk::Step DnssecWalk::on_delegation(const DnssecMessage& message, DnssecTime now) {
  auto checked = check_delegation(message, next_, *keys_, now.wall);
  if (!checked) {
    return Broken{std::move(checked.error())};
  }
  return std::visit(
      [&](auto& delegation) -> Step {
        using Kind = std::decay_t<decltype(delegation)>;
        if constexpr (std::is_same_v<Kind, DelegationSigned>) {
          signers_ = std::move(delegation.signers);
          signers_ttl_ = delegation.ttl;
          return ask(DnsType::dnskey);
        } else if constexpr (std::is_same_v<Kind, DelegationUnsigned>) {
          return learn({ZoneTrust::Kind::insecure, {}}, delegation.ttl, now);
        } else if constexpr (std::is_same_v<Kind, NoDelegation>) {
          return learn({ZoneTrust::Kind::no_cut, {}}, delegation.ttl, now);
        } else {
          return learn({ZoneTrust::Kind::absent, {}}, delegation.ttl, now);
        }
      },
      *checked);
}

DnssecWalk::Step DnssecWalk::on_keys(const DnssecMessage& message, DnssecTime now) {
  auto checked = check_keys(message, next_, signers_, now.wall);
  signers_.reset();
  if (!checked) {
    return Broken{std::move(checked.error())};
  }
  return learn({ZoneTrust::Kind::secure, std::move(checked->keys)},
               std::min(checked->ttl, signers_ttl_), now);
}

DnssecWalk::Step DnssecWalk::learn(const ZoneTrust& trust, std::chrono::seconds ttl,
                                   DnssecTime now) {
  zones_.put(next_, trust, ttl, now.steady);
  if (auto end = enter(next_, trust)) {
    return std::move(*end);
  }
  return walk(now);
}

std::optional<DnssecWalk::Step> DnssecWalk::enter(const std::string& name, const ZoneTrust& trust) {
  switch (trust.kind) {
    case ZoneTrust::Kind::insecure:
      return Untrusted{};
    case ZoneTrust::Kind::absent:
      return Trusted{keys_};
    case ZoneTrust::Kind::secure:
      keys_ = trust.keys;
      break;
    case ZoneTrust::Kind::no_cut:
      break;
  }
  reached_ = name;
  return std::nullopt;
}

DnssecWalk::Step DnssecWalk::ask(DnsType type) const {
  return DnsAsk{next_, type, DnsChecking::by_us};
}

}  // namespace relay::net
