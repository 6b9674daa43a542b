#include "relay/delivery/policy_lookup.h"

#include <doctest/doctest.h>

namespace {

namespace net = relay::net;
using relay::delivery::policy_host_addresses;
using relay::delivery::PrivateAddresses;

net::DnsResult answer(const std::vector<std::string>& texts) {
  return net::DnsAnswer{texts, "mta-sts.example.net", std::chrono::seconds{60}};
}

// The addresses, or the reason code.
std::string found(const net::DnsResult& a, const net::DnsResult& aaaa,
                  PrivateAddresses allowed = PrivateAddresses::refused) {
  const auto addresses = policy_host_addresses(a, aaaa, 443, allowed);
  if (!addresses) {
    return addresses.error();
  }
  std::string text;
  for (const net::SocketAddress& address : *addresses) {
    text += (text.empty() ? "" : " ") + address.literal();
  }
  return text;
}

}  // namespace

TEST_CASE("the policy host's addresses are those of both families that are public") {
  const net::DnsResult nothing = net::DnsNoRecord{};
  const net::DnsResult servfail = net::DnsFailure{"SERVFAIL"};
  CHECK(found(answer({"9.9.9.9", "8.8.8.8"}), answer({"2600::1"})) ==
        "[2600::1]:443 9.9.9.9:443 8.8.8.8:443");
  CHECK(found(answer({"8.8.8.8"}), servfail) == "8.8.8.8:443");
  CHECK(found(nothing, answer({"2600::1"})) == "[2600::1]:443");
  CHECK(found(nothing, nothing) == "no-address");
  CHECK(found(servfail, nothing) == "dns-failure");
  CHECK(found(answer({}), nothing) == "no-address");
}

TEST_CASE("F24, F25: addresses that are not public are left out unless they are allowed") {
  const net::DnsResult nothing = net::DnsNoRecord{};
  for (const std::string address :
       {"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.1.1", "100.64.0.1"}) {
    CAPTURE(address);
    CHECK(found(answer({address}), nothing) == "address-refused");
    CHECK(found(answer({address, "8.8.8.8"}), nothing) == "8.8.8.8:443");
    CHECK(found(answer({address}), nothing, PrivateAddresses::allowed) == address + ":443");
  }
  for (const std::string address :
       {"::1", "fc00::1", "fe80::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"}) {
    CAPTURE(address);
    CHECK(found(nothing, answer({address})) == "address-refused");
  }
}

TEST_CASE("a TXT answer is handed on as records, absence or failure") {
  using relay::delivery::record_result;
  const auto records = record_result(answer({"v=STSv1; id=1"}));
  REQUIRE(std::holds_alternative<sts::RecordAnswer>(records));
  CHECK(std::get<sts::RecordAnswer>(records).records.size() == 1);
  CHECK(std::holds_alternative<sts::RecordAbsent>(record_result(net::DnsNoRecord{})));
  CHECK(std::holds_alternative<sts::RecordFailure>(record_result(net::DnsFailure{"timeout"})));
}

TEST_CASE("an HTTPS answer is handed on whole, a failure with its reason code") {
  using Kind = net::HttpsFailure::Kind;
  using relay::delivery::fetch_result;
  const auto answered = fetch_result(net::HttpsResponse{404, "text/html", "no"});
  REQUIRE(std::holds_alternative<sts::HttpAnswer>(answered));
  CHECK(std::get<sts::HttpAnswer>(answered).status == 404);
  for (const Kind kind : {Kind::connect, Kind::timeout, Kind::tls, Kind::certificate,
                          Kind::too_large, Kind::protocol}) {
    const auto failed =
        fetch_result(relay::Unexpected<net::HttpsFailure>{net::HttpsFailure{kind, "why"}});
    REQUIRE(std::holds_alternative<sts::HttpFailure>(failed));
    const auto& failure = std::get<sts::HttpFailure>(failed);
    CHECK(failure.certificate == (kind == Kind::certificate));
    CHECK(failure.reason == (kind == Kind::too_large ? "policy-too-large" : "why"));
  }
}

TEST_CASE("a policy is weaker if its mode asks for less") {
  using relay::delivery::weakens;
  using sts::Mode;
  const std::vector<Mode> falling = {Mode::enforce, Mode::testing, Mode::none};
  for (std::size_t before = 0; before < falling.size(); ++before) {
    for (std::size_t after = 0; after < falling.size(); ++after) {
      CHECK(weakens(falling[before], falling[after]) == (after > before));
    }
  }
}

TEST_CASE("a policy is weaker if it admits hosts that none of the old patterns covers") {
  using relay::delivery::weakening;
  using relay::delivery::widening;
  struct Row {
    std::vector<std::string> before, after, added;
  };
  const std::vector<Row> rows = {
      {{"mx.a.example"}, {"mx.a.example"}, {}},
      {{"mx.a.example", "b.a.example"}, {"b.a.example"}, {}},
      {{"*.a.example"}, {"mx.a.example", "*.a.example"}, {}},
      {{"*.a.example"}, {"a.example"}, {"a.example"}},
      {{"*.a.example"}, {"x.mx.a.example"}, {"x.mx.a.example"}},
      {{"*.a.example"}, {"*.mx.a.example"}, {"*.mx.a.example"}},
      {{"mx.a.example"}, {"*.a.example"}, {"*.a.example"}},
      {{"mx.a.example"}, {"mx.a.example", "mx.attacker.example"}, {"mx.attacker.example"}}};
  const auto policy = [](const std::vector<std::string>& names, sts::Mode mode) {
    sts::Policy made;
    made.mode = mode;
    made.max_age = std::chrono::hours(24);
    for (const std::string& name : names) {
      made.mx.push_back(*sts::MxPattern::parse(name));
    }
    return made;
  };
  using sts::Mode;
  for (const Row& row : rows) {
    CAPTURE(row.after.front());
    const auto before = policy(row.before, Mode::enforce);
    auto after = policy(row.after, Mode::enforce);
    CHECK(widening(before, after) == row.added);
    CHECK(weakening(before, after) == (row.added.empty() ? "" : "mx"));
    after.max_age = std::chrono::hours(1);
    CHECK(weakening(before, after) == (row.added.empty() ? "max_age" : "mx max_age"));
    CHECK(weakening(before, policy(row.after, Mode::testing)) == "mode");
    // What was not enforced is not taken back.
    CHECK(weakening(policy(row.before, Mode::testing), after).empty());
    CHECK(weakening(policy(row.before, Mode::none), after).empty());
  }
}

TEST_CASE("diagnostics are named by code and line, a handful at most") {
  using relay::delivery::diagnostics_text;
  CHECK(diagnostics_text({}).empty());
  CHECK(diagnostics_text({{"empty-line", 3, "", sts::Severity::tolerated}, {"no-mx", 0, ""}}) ==
        "empty-line@3 no-mx@0");
  const std::vector<sts::Diagnostic> many(20, {"empty-line", 3, "", sts::Severity::tolerated});
  CHECK(diagnostics_text(many).size() < 200);
}
