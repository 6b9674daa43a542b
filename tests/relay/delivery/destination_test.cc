#include "relay/delivery/destination.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace relay::delivery {
namespace {

net::DomainName name(std::string_view text) {
  return net::DomainName::parse(text).value();
}

const Shuffle kKeepOrder = [](std::span<MxHost>) {};

net::DnsResult mx(std::vector<net::DnsMx> records) {
  net::DnsAnswer answer;
  answer.records = std::move(records);
  return answer;
}

net::DnsResult texts(std::vector<std::string> records) {
  net::DnsAnswer answer;
  answer.records = std::move(records);
  return answer;
}

std::vector<std::string> names(const std::variant<std::vector<MxHost>, Undeliverable>& found) {
  std::vector<std::string> result;
  for (const MxHost& host : std::get<std::vector<MxHost>>(found)) {
    result.push_back(host.name.text());
  }
  return result;
}

auto plan(const net::DnsResult& answer, std::string_view own = "relay.example") {
  return mx_hosts(answer, name("example.net"), own, 20, kKeepOrder);
}

TEST_CASE("hosts are ordered by preference and equal ones are shuffled among themselves") {
  const auto answer =
      mx({{20, "c.example"}, {10, "a.example"}, {10, "b.example"}, {5, "z.example"}});
  CHECK(names(plan(answer)) ==
        std::vector<std::string>{"z.example", "a.example", "b.example", "c.example"});
  const Shuffle reverse = [](std::span<MxHost> hosts) { std::reverse(hosts.begin(), hosts.end()); };
  CHECK(names(mx_hosts(answer, name("example.net"), "relay.example", 20, reverse)) ==
        std::vector<std::string>{"z.example", "b.example", "a.example", "c.example"});
  CHECK(names(mx_hosts(answer, name("example.net"), "relay.example", 2, kKeepOrder)).size() == 2);
}

TEST_CASE("what an MX lookup without hosts means") {
  struct Row {
    const char* what;
    net::DnsResult answer;
    Undeliverable::Kind kind;
    const char* status;
  };
  const std::vector<Row> rows = {
      {"NXDOMAIN", net::DnsNoRecord{}, Undeliverable::Kind::permanent, "5.1.2"},
      {"SERVFAIL", net::DnsFailure{"SERVFAIL"}, Undeliverable::Kind::temporary, "4.4.3"},
      {"timeout", net::DnsFailure{"timeout"}, Undeliverable::Kind::temporary, "4.4.3"},
      {"null MX", mx({{0, ""}}), Undeliverable::Kind::null_mx, "5.1.10"},
      {"only IP text", mx({{10, "192.0.2.1"}}), Undeliverable::Kind::permanent, "5.4.4"},
      {"two roots", mx({{0, ""}, {5, ""}}), Undeliverable::Kind::permanent, "5.4.4"},
      {"only ourselves", mx({{10, "relay.example"}}), Undeliverable::Kind::permanent, "5.4.6"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const auto found = plan(row.answer);
    const auto* end = std::get_if<Undeliverable>(&found);
    REQUIRE(end != nullptr);
    CHECK(end->kind == row.kind);
    CHECK(end->status == row.status);
    CHECK_FALSE(end->reason.empty());
  }
}

TEST_CASE("NODATA makes the domain its own implicit MX") {
  const auto found = plan(net::DnsNoRecord{.name_exists = true});
  REQUIRE(names(found) == std::vector<std::string>{"example.net"});
  CHECK(std::get<std::vector<MxHost>>(found).front().source == MxHost::Source::implicit);
}

TEST_CASE("a root exchange beside real hosts is ignored") {
  CHECK(names(plan(mx({{0, ""}, {10, "a.example"}}))) == std::vector<std::string>{"a.example"});
}

TEST_CASE("our own name drops itself and everything of equal or worse preference") {
  CHECK(names(plan(
            mx({{5, "a.example"}, {10, "relay.example"}, {10, "b.example"}, {20, "c.example"}}))) ==
        std::vector<std::string>{"a.example"});
}

TEST_CASE("the first matching route decides the next hop and the policy domain") {
  const std::vector<conf::Route> routes = {
      {"example.com", "relay.example.org", "", 25},
      {"*.example.com", "", "smart.example.org", 587},
      {"lan.example", "", "192.0.2.9", 25},
  };
  struct Row {
    const char* domain;
    const char* key;
    const char* policy_domain;  // null: none
    std::uint16_t port;
  };
  for (const Row& row :
       std::vector<Row>{{"example.com", "mx:relay.example.org:2525", "relay.example.org", 2525},
                        {"a.example.com", "host:smart.example.org:587", "smart.example.org", 587},
                        {"lan.example", "192.0.2.9:2525", nullptr, 2525},
                        {"other.example", "mx:other.example:2525", "other.example", 2525},
                        {"notexample.com", "mx:notexample.com:2525", "notexample.com", 2525}}) {
    CAPTURE(row.domain);
    const auto found = next_hop(routes, {row.domain}, 2525);
    const auto* hop = std::get_if<NextHop>(&found);
    REQUIRE(hop != nullptr);
    CHECK(hop->key() == row.key);
    CHECK(hop->port == row.port);
    CHECK(hop->policy_domain().has_value() == (row.policy_domain != nullptr));
    if (row.policy_domain != nullptr) {
      CHECK(hop->policy_domain()->text() == row.policy_domain);
    }
  }
}

TEST_CASE("a recipient domain that is an address literal is refused for good") {
  const auto found = next_hop({}, {"[192.0.2.1]"}, 25);
  REQUIRE(std::holds_alternative<Undeliverable>(found));
  CHECK(std::get<Undeliverable>(found).status == "5.1.2");
}

TEST_CASE("addresses interleave the families and private ones are refused unless allowed") {
  const auto host = name("mx.example.net");
  const auto a = texts({"203.0.113.1", "10.0.0.1", "203.0.113.2"});
  const auto aaaa = texts({"2001:4860::1"});
  const auto texts_of = [](const HostAddresses& found) {
    std::vector<std::string> result;
    for (const auto& address : found.usable) {
      result.push_back(address.ip());
    }
    return result;
  };
  CHECK(texts_of(
            host_addresses(host, a, aaaa, 25, PrivateAddresses::refused, Families::ipv6_first)) ==
        std::vector<std::string>{"2001:4860::1", "203.0.113.1", "203.0.113.2"});
  CHECK(
      texts_of(host_addresses(host, a, aaaa, 25, PrivateAddresses::allowed, Families::only_ipv4)) ==
      std::vector<std::string>{"203.0.113.1", "10.0.0.1", "203.0.113.2"});
}

TEST_CASE("why a host has no address") {
  using Problem = HostAddresses::Problem;
  const net::DnsResult missing = net::DnsNoRecord{};
  const net::DnsResult nodata = net::DnsNoRecord{.name_exists = true};
  const net::DnsResult failed = net::DnsFailure{"SERVFAIL"};
  struct Row {
    net::DnsResult a, aaaa;
    Problem problem;
  };
  for (const Row& row : std::vector<Row>{{missing, missing, Problem::no_such_host},
                                         {nodata, nodata, Problem::no_address},
                                         {failed, nodata, Problem::lookup_failed},
                                         {nodata, failed, Problem::lookup_failed},
                                         {texts({"127.0.0.1"}), nodata, Problem::refused},
                                         {nodata, texts({"::ffff:10.0.0.1"}), Problem::refused}}) {
    const auto found = host_addresses(name("mx.example.net"), row.a, row.aaaa, 25,
                                      PrivateAddresses::refused, Families::ipv6_first);
    CHECK(found.problem == row.problem);
    CHECK(found.usable.empty());
    CHECK_FALSE(found.reason.empty());
  }
}

}  // namespace
}  // namespace relay::delivery
