#include "relay/delivery/dane.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace relay::delivery {
namespace {

net::DnssecState state_of(const net::DnsResult& result) {
  if (const auto* answer = std::get_if<net::DnsAnswer>(&result)) {
    return answer->dnssec;
  }
  if (const auto* none = std::get_if<net::DnsNoRecord>(&result)) {
    return none->dnssec;
  }
  return net::DnssecState::insecure;
}

}  // namespace

TlsaStep TlsaSearch::start(const net::DnsResult& a, const net::DnsResult& aaaa) {
  const net::DnsAnswer* found = nullptr;
  bool secure = true;
  for (const net::DnsResult* result : {&aaaa, &a}) {
    if (const auto* answer = std::get_if<net::DnsAnswer>(result)) {
      found = answer;
      secure = secure && answer->dnssec == net::DnssecState::secure;
    }
  }
  if (found == nullptr) {
    return HostDane{};
  }
  const auto expanded = net::DomainName::parse(found->canonical_name);
  const bool aliased = expanded && *expanded != subject_.host;
  if (!secure) {
    // RFC 7672 §2.2.2: behind an alias only the alias itself may be secure; then the TLSA base
    // domain is the name before expansion.
    return aliased ? TlsaStep(FindAlias{subject_.host}) : TlsaStep(HostDane{});
  }
  bases_ = {subject_.host};
  if (aliased) {
    bases_.push_back(*expanded);
  }
  return ask_next();
}

TlsaStep TlsaSearch::on_alias(const net::DnsResult& answer) {
  if (const auto* failed = std::get_if<net::DnsFailure>(&answer)) {
    return HostDane{
        HostDane::State::lookup_failed, subject_.host.text(), {}, nullptr, failed->reason};
  }
  if (state_of(answer) != net::DnssecState::secure) {
    return HostDane{};
  }
  bases_ = {subject_.host};
  return ask_next();
}

TlsaStep TlsaSearch::on_tlsa(const net::DnsResult& answer) {
  if (const auto* failed = std::get_if<net::DnsFailure>(&answer)) {
    return HostDane{
        HostDane::State::lookup_failed, bases_.back().text(), {}, nullptr, failed->reason};
  }
  const auto* found = std::get_if<net::DnsAnswer>(&answer);
  const auto* records =
      found == nullptr ? nullptr : std::get_if<std::vector<net::DnsTlsa>>(&found->records);
  if (records != nullptr && !records->empty() && state_of(answer) == net::DnssecState::secure) {
    return judged(*records);
  }
  all_denied_ = all_denied_ && std::holds_alternative<net::DnsNoRecord>(answer) &&
                state_of(answer) == net::DnssecState::secure;
  bases_.pop_back();
  if (bases_.empty() && all_denied_) {
    return HostDane{HostDane::State::denied, subject_.host.text(), {}, nullptr, {}};
  }
  return ask_next();
}

TlsaStep TlsaSearch::ask_next() {
  if (bases_.empty()) {
    return HostDane{};
  }
  return FindTlsa{fmt::format("_{}._tcp.{}", subject_.port, bases_.back().text())};
}

HostDane TlsaSearch::judged(const std::vector<net::DnsTlsa>& records) const {
  HostDane dane;
  const net::DomainName& base = bases_.back();
  dane.base_domain = base.text();
  std::vector<net::DnsTlsa> usable;
  for (const net::DnsTlsa& record : records) {
    dane.records.push_back(net::text(record));
    if (net::usable(record)) {
      usable.push_back(record);
    }
  }
  std::sort(dane.records.begin(), dane.records.end());
  if (usable.empty()) {
    dane.state = HostDane::State::unusable;
    return dane;
  }
  // RFC 7672 §3.2.2: beside the base domain a DANE-TA certificate may name the next-hop domain,
  // but only where an attacker could not have led us from that domain to this host.
  std::vector<net::DomainName> names{base};
  if (subject_.origin != MxOrigin::insecure) {
    for (const net::DomainName& name : {subject_.host, subject_.next_hop}) {
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(name);
      }
    }
  }
  dane.state = HostDane::State::usable;
  dane.expectation = std::make_shared<const net::DaneExpectation>(
      net::DaneExpectation{net::strongest_digests(std::move(usable)), std::move(names)});
  return dane;
}

}  // namespace relay::delivery
