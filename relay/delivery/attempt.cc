#include "relay/delivery/attempt.h"

#include <algorithm>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace relay::delivery {
namespace {

net::DnssecState dnssec_of(const net::DnsResult& result) {
  if (const auto* answer = std::get_if<net::DnsAnswer>(&result)) {
    return answer->dnssec;
  }
  const auto* none = std::get_if<net::DnsNoRecord>(&result);
  return none != nullptr ? none->dnssec : net::DnssecState::insecure;
}

/// "12:03:04 UTC".
std::string time_of_day(net::WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%H:%M:%S} UTC", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)));
}

}  // namespace

DeliveryAttempt::DeliveryAttempt(AttemptSettings settings, NextHop next_hop,
                                 std::shared_ptr<const spool::Envelope> envelope)
    : settings_(std::move(settings)),
      next_hop_(std::move(next_hop)),
      envelope_(std::move(envelope)),
      pending_(envelope_) {}

TlsInputs DeliveryAttempt::inputs() const {
  return {policy_.get(),         settings_.rule,      envelope_->tls,          mx_origin_,
          settings_.composition, kind_of(*envelope_), next_hop_.upstream.get()};
}

Step DeliveryAttempt::start(net::WallTime now) {
  if (const auto* fixed = std::get_if<FixedAddress>(&next_hop_.target)) {
    mx_origin_ = MxOrigin::route;
    addresses_ = {fixed->address};
    const HostDane none;  // an address has no TLSA records
    decision_ = decide(inputs(), &none, fixed->address.ip());
    return decision_.requirement ? use_address(now) : walk_ended(now);
  }
  if (const auto* fixed = std::get_if<FixedHost>(&next_hop_.target)) {
    mx_origin_ = MxOrigin::route;
    hosts_ = {MxHost{fixed->name, 0, MxHost::Source::route}};
    return FindPolicy{fixed->name, Freshness::cached};
  }
  return FindMx{std::get<MxLookup>(next_hop_.target).name};
}

Step DeliveryAttempt::on_mx(const net::DnsResult& answer, net::WallTime /*now*/) {
  const net::DomainName& domain = std::get<MxLookup>(next_hop_.target).name;
  auto found = mx_hosts(answer, domain, settings_.own_name, settings_.hosts, settings_.shuffle);
  if (dnssec_of(answer) == net::DnssecState::secure) {
    mx_origin_ = MxOrigin::secure;
  }
  if (const auto* end = std::get_if<Undeliverable>(&found)) {
    if (end->kind == Undeliverable::Kind::temporary) {
      return undeliverable(*end);
    }
    // Under a policy a forged answer must not be able to bounce mail (RFC 8461 §5.1, §10.2); but
    // mail to a null MX is no reason to look for one (RFC 7505).
    no_host_ = *end;
    return FindPolicy{
        domain, end->kind == Undeliverable::Kind::null_mx ? Freshness::known : Freshness::cached};
  }
  hosts_ = std::move(std::get<std::vector<MxHost>>(found));
  return FindPolicy{domain, Freshness::cached};
}

Step DeliveryAttempt::on_policy(const sts::PolicyVerdict& verdict, net::WallTime now) {
  const bool again = policy_check_ == PolicyCheck::last;
  policy_unknown_ =
      verdict.policy == nullptr && (verdict.fault.has_value() || verdict.record_unknown);
  if (again && same_policy(verdict.policy.get(), policy_.get())) {
    count_policy_fault(now);
    return finish(troubles_.decisive());
  }
  policy_ = verdict.policy;
  policy_source_ = verdict.source;
  policy_fault_ = verdict.fault;
  if (no_host_) {
    return undeliverable(*no_host_);
  }
  if (!verdict.hold.empty() && policy_matters(inputs())) {
    trouble(Trouble::Kind::temporary, "4.7.0", verdict.hold);
    return walk_ended(now);
  }
  if (again) {
    note("policy-changed", "the policy changed since this attempt began; hosts are tried again");
    troubles_.clear();
    failed_sessions_ = 0;
  }
  return first_host(now);
}

Step DeliveryAttempt::first_host(net::WallTime now) {
  host_ = 0;
  return hosts_known(now);
}

Step DeliveryAttempt::next_host(net::WallTime now) {
  ++host_;
  return hosts_known(now);
}

Step DeliveryAttempt::hosts_known(net::WallTime now) {
  addresses_.clear();
  address_ = 0;
  dane_.reset();
  // Sessions that failed for reasons of their own are bounded; hosts passed over by policy are not,
  // or a policy with two broken hosts would hide the third, good one.
  for (; host_ < hosts_.size() && failed_sessions_ < settings_.sessions; ++host_) {
    if (dane_first(inputs()) || !refused(nullptr, now)) {
      return FindAddresses{hosts_[host_].name};
    }
  }
  return walk_ended(now);
}

bool DeliveryAttempt::refused(const HostDane* dane, net::WallTime now) {
  const std::string& host = hosts_[host_].name.text();
  decision_ = decide(inputs(), dane, host);
  if (decision_.requirement) {
    return false;
  }
  const bool by_sender = decision_.refusal == Refusal::mx_not_trusted;
  std::string why = explain(decision_, inputs(), host);
  note(std::string(name(decision_.refusal)), why);
  trouble(by_sender ? Trouble::Kind::requiretls : Trouble::Kind::policy,
          by_sender ? "5.7.10" : "4.7.5", std::move(why));
  record_session(ConnectFailed{}, now);
  return true;
}

Step DeliveryAttempt::on_addresses(const net::DnsResult& a, const net::DnsResult& aaaa,
                                   net::WallTime now) {
  // A route's author knows what the name points to.
  const PrivateAddresses allowed = next_hop_.origin == NextHop::Origin::route
                                       ? PrivateAddresses::allowed
                                       : settings_.private_addresses;
  HostAddresses found =
      host_addresses(hosts_[host_].name, a, aaaa, next_hop_.port, allowed, settings_.families);
  switch (found.problem) {
    case HostAddresses::Problem::none:
      addresses_ = std::move(found.usable);
      return use_addresses(a, aaaa, now);
    case HostAddresses::Problem::lookup_failed:
      note("address-lookup-failed", found.reason);
      trouble(Trouble::Kind::temporary, "4.4.3", found.reason);
      break;
    case HostAddresses::Problem::no_such_host:
      note("no-such-host", found.reason);
      trouble(Trouble::Kind::host_missing, "5.4.4", found.reason);
      break;
    case HostAddresses::Problem::no_address:
      // A host that an MX record names is there; its addresses may come back (RFC 5321 §5.1).
      note("no-address", found.reason);
      if (hosts_[host_].source == MxHost::Source::implicit) {
        trouble(Trouble::Kind::host_missing, "5.4.4", found.reason);
      } else {
        trouble(Trouble::Kind::temporary, "4.4.4", found.reason);
      }
      break;
    case HostAddresses::Problem::refused:
      note("private-address", found.reason);
      trouble(Trouble::Kind::host_missing, "5.4.4",
              found.reason + "; a route that names the host would allow them");
      break;
  }
  return next_host(now);
}

Step DeliveryAttempt::use_addresses(const net::DnsResult& a, const net::DnsResult& aaaa,
                                    net::WallTime now) {
  if (addresses_.size() > settings_.addresses_per_host) {
    addresses_.resize(settings_.addresses_per_host, addresses_.front());
  }
  if (leads_to_self()) {
    drop_self("is an address this relay listens on");
    return next_host(now);
  }
  tlsa_search_.emplace(TlsaSearch::Subject{hosts_[host_].name, *next_hop_.policy_domain(),
                                           mx_origin_, settings_.tlsa_port});
  return on_tlsa_step(
      exempted(settings_.rule.get()) ? TlsaStep(HostDane{}) : tlsa_search_->start(a, aaaa), now);
}

Step DeliveryAttempt::on_alias(const net::DnsResult& answer, net::WallTime now) {
  return on_tlsa_step(tlsa_search_->on_alias(answer), now);
}

Step DeliveryAttempt::on_tlsa(const net::DnsResult& answer, net::WallTime now) {
  return on_tlsa_step(tlsa_search_->on_tlsa(answer), now);
}

Step DeliveryAttempt::on_tlsa_step(TlsaStep step, net::WallTime now) {
  if (auto* alias = std::get_if<FindAlias>(&step)) {
    return std::move(*alias);
  }
  if (auto* tlsa = std::get_if<FindTlsa>(&step)) {
    return std::move(*tlsa);
  }
  dane_ = std::move(std::get<HostDane>(step));
  if (refused(&*dane_, now)) {
    return next_host(now);
  }
  if (decision_.refusal_unenforced != Refusal::none) {
    count_would_refuse(nullptr);
  }
  return use_address(now);
}

Step DeliveryAttempt::converse(smtp::TlsRequirement requirement, ConnectionUse use) {
  std::optional<net::DomainName> host;
  if (!hosts_.empty()) {
    host = hosts_[host_].name;
  }
  conversation_ =
      Converse{host, addresses_[address_], std::move(requirement), use, pending_.positions()};
  return *conversation_;
}

/// Talks to the host at the address that the walk has come to, or the next that is not known to be
/// dead.
Step DeliveryAttempt::use_address(net::WallTime now) {
  for (; address_ < addresses_.size(); ++address_) {
    if (!known_dead(now)) {
      return converse(*decision_.requirement, ConnectionUse::pooled_or_new);
    }
  }
  return next_host(now);
}

Step DeliveryAttempt::next_address(net::WallTime now) {
  ++address_;
  return use_address(now);
}

bool DeliveryAttempt::known_dead(net::WallTime now) {
  const auto mark =
      settings_.find_dead ? settings_.find_dead(addresses_[address_], now) : std::nullopt;
  if (!mark) {
    return false;
  }
  const std::string host = host_name();
  std::string why =
      fmt::format("{} could not be reached at {} ({}) and is not tried again before {}",
                  host.empty() ? ip() : fmt::format("{} ({})", host, ip()),
                  time_of_day(mark->since), mark->why, time_of_day(mark->until));
  note("recently-unreachable", why);
  trouble(Trouble::Kind::temporary, "4.4.1", std::move(why));
  return true;
}

bool DeliveryAttempt::leads_to_self() const {
  return std::any_of(addresses_.begin(), addresses_.end(), [&](const net::SocketAddress& address) {
    return std::find(settings_.own_addresses.begin(), settings_.own_addresses.end(), address) !=
           settings_.own_addresses.end();
  });
}

void DeliveryAttempt::drop_self(std::string_view how) {
  trouble(Trouble::Kind::host_missing, "5.4.6",
          fmt::format("mail loops back to this relay: {} ({}) {}", host_name(), ip(), how));
  // What follows in the list is of equal or worse preference: RFC 5321 §5.1 forbids it too.
  host_ = hosts_.size();
}

void DeliveryAttempt::note(std::string reason_code, std::string text) {
  notes_.push_back({host_name(), std::move(reason_code), std::move(text)});
}

void DeliveryAttempt::trouble(Trouble::Kind kind, std::string status, std::string text,
                              std::optional<smtp::Reply> reply) {
  troubles_.add({kind, std::move(status), std::move(text), host_name(), ip(), std::move(reply)});
}

std::vector<AttemptNote> DeliveryAttempt::take_notes() {
  return std::exchange(notes_, {});
}

std::string DeliveryAttempt::host_name() const {
  return host_ < hosts_.size() ? hosts_[host_].name.text() : std::string{};
}

std::string DeliveryAttempt::ip() const {
  return address_ < addresses_.size() ? addresses_[address_].ip() : std::string{};
}

}  // namespace relay::delivery
