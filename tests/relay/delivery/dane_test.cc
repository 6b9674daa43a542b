// Which TLSA records are asked for and which count (RFC 7672 §2.2).
#include "relay/delivery/dane.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/delivery/walk.h"

namespace relay::delivery {
namespace {

using net::DnssecState;
using State = HostDane::State;

net::DnsResult addresses(DnssecState dnssec, std::string canonical = "mx1.example.net") {
  net::DnsAnswer answer;
  answer.records = std::vector<std::string>{"203.0.113.5"};
  answer.canonical_name = std::move(canonical);
  answer.dnssec = dnssec;
  return answer;
}

net::DnsResult tlsa(std::vector<net::DnsTlsa> records, DnssecState dnssec = DnssecState::secure) {
  net::DnsAnswer answer;
  answer.records = std::move(records);
  answer.dnssec = dnssec;
  return answer;
}

net::DnsTlsa ee_sha256(char octet = 'a') {
  return {3, 1, 1, std::string(32, octet)};
}

TlsaSearch search(MxOrigin origin = MxOrigin::secure, std::uint16_t port = 25) {
  return TlsaSearch({name("mx1.example.net"), name("example.net"), origin, port});
}

std::string owner(const TlsaStep& step) {
  const auto* find = std::get_if<FindTlsa>(&step);
  return find != nullptr ? find->owner : "";
}

const HostDane& found(const TlsaStep& step) {
  const auto* dane = std::get_if<HostDane>(&step);
  REQUIRE(dane != nullptr);
  return *dane;
}

TEST_CASE("insecure addresses: TLSA records are not even asked for") {
  const TlsaStep step = search().start(addresses(DnssecState::insecure), kNoData);
  CHECK(found(step).state == State::absent);
}

TEST_CASE("one insecure address family makes the host insecure") {
  const TlsaStep step =
      search().start(addresses(DnssecState::secure), addresses(DnssecState::insecure));
  CHECK(found(step).state == State::absent);
}

TEST_CASE("secure addresses: the TLSA records of the host and port are asked for") {
  TlsaSearch at_25 = search();
  TlsaStep step = at_25.start(addresses(DnssecState::secure), kNoData);
  CHECK(owner(step) == "_25._tcp.mx1.example.net");
  step = at_25.on_tlsa(tlsa({ee_sha256()}));
  REQUIRE(found(step).state == State::usable);
  CHECK(found(step).base_domain == "mx1.example.net");
  CHECK(found(step).expectation->records.size() == 1);
  CHECK(owner(search(MxOrigin::route, 587).start(addresses(DnssecState::secure), kNoData)) ==
        "_587._tcp.mx1.example.net");
}

TEST_CASE("what an answer to the TLSA question means") {
  const net::DnsTlsa pkix{1, 1, 1, std::string(32, 'a')};
  struct Row {
    const char* what;
    net::DnsResult answer;
    State state;
  };
  for (const Row& row : std::vector<Row>{
           {"usable", tlsa({ee_sha256()}), State::usable},
           {"PKIX-EE beside DANE-EE", tlsa({pkix, ee_sha256()}), State::usable},
           {"PKIX-EE alone", tlsa({pkix}), State::unusable},
           {"a digest of the wrong length", tlsa({{3, 1, 1, "short"}}), State::unusable},
           {"insecure records", tlsa({ee_sha256()}, DnssecState::insecure), State::absent},
           {"secure denial", net::DnsNoRecord{true, {}, DnssecState::secure}, State::denied},
           {"insecure denial", net::DnsNoRecord{true, {}, DnssecState::insecure}, State::absent},
           {"SERVFAIL or bogus", net::DnsFailure{"SERVFAIL"}, State::lookup_failed},
       }) {
    CAPTURE(row.what);
    TlsaSearch asked = search();
    REQUIRE(owner(asked.start(addresses(DnssecState::secure), kNoData)) != "");
    CHECK(found(asked.on_tlsa(row.answer)).state == row.state);
  }
}

TEST_CASE("a secure alias: the expanded name is the base domain, else the name itself") {
  TlsaSearch aliased = search();
  TlsaStep step = aliased.start(addresses(DnssecState::secure, "mail.provider.example"), kNoData);
  CHECK(owner(step) == "_25._tcp.mail.provider.example");
  step = aliased.on_tlsa(net::DnsNoRecord{true, {}, DnssecState::secure});
  CHECK(owner(step) == "_25._tcp.mx1.example.net");
  step = aliased.on_tlsa(tlsa({ee_sha256()}));
  CHECK(found(step).base_domain == "mx1.example.net");
}

TEST_CASE("an alias without TLSA records is proved so only if both its names are") {
  const auto denial = [](DnssecState state) { return net::DnsNoRecord{true, {}, state}; };
  for (const auto& [expanded, itself, state] :
       {std::tuple{DnssecState::secure, DnssecState::secure, State::denied},
        {DnssecState::insecure, DnssecState::secure, State::absent},
        {DnssecState::secure, DnssecState::insecure, State::absent}}) {
    TlsaSearch aliased = search();
    REQUIRE(owner(aliased.start(addresses(DnssecState::secure, "mail.provider.example"),
                                kNoData)) == "_25._tcp.mail.provider.example");
    REQUIRE(owner(aliased.on_tlsa(denial(expanded))) == "_25._tcp.mx1.example.net");
    CHECK(found(aliased.on_tlsa(denial(itself))).state == state);
  }
}

TEST_CASE("a secure alias into an insecure zone: the name itself is the base domain") {
  TlsaSearch aliased = search();
  TlsaStep step = aliased.start(addresses(DnssecState::insecure, "mail.provider.example"), kNoData);
  REQUIRE(std::holds_alternative<FindAlias>(step));
  CHECK(std::get<FindAlias>(step).name == name("mx1.example.net"));
  net::DnsAnswer alias;
  alias.records = std::vector<std::string>{"mail.provider.example"};
  alias.dnssec = DnssecState::secure;
  CHECK(owner(aliased.on_alias(alias)) == "_25._tcp.mx1.example.net");
  alias.dnssec = DnssecState::insecure;
  CHECK(found(aliased.on_alias(alias)).state == State::absent);
  CHECK(found(aliased.on_alias(net::DnsFailure{"SERVFAIL"})).state == State::lookup_failed);
}

TEST_CASE("DANE-TA may name the next-hop domain only where nobody can have forged the MX") {
  const auto names = [](MxOrigin origin) {
    TlsaSearch asked = search(origin);
    REQUIRE(owner(asked.start(addresses(DnssecState::secure), kNoData)) != "");
    return found(asked.on_tlsa(tlsa({ee_sha256()}))).expectation->reference_names;
  };
  CHECK(names(MxOrigin::secure) == std::vector{name("mx1.example.net"), name("example.net")});
  CHECK(names(MxOrigin::insecure) == std::vector{name("mx1.example.net")});
}

}  // namespace
}  // namespace relay::delivery
