#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/dns_client.h"
#include "tests/relay/net/dns_packet.h"
#include "tests/relay/net/dns_responder.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/relay/net/signed_zone.h"
#include "tests/support/manual_clock.h"

namespace {

using relay::net::DnsAnswer;
using relay::net::DnsAsk;
using relay::net::DnsCacheUse;
using relay::net::DnsClient;
using relay::net::DnsClientOptions;
using relay::net::DnsFailure;
using relay::net::DnsNoRecord;
using relay::net::DnsResult;
using relay::net::DnssecAnchors;
using relay::net::DnssecMode;
using relay::net::DnssecState;
using relay::net::DnsType;
using relay::net::EventLoop;
using relay::net::Operation;
using std::chrono::milliseconds;
using std::chrono::seconds;
using support::DnsAsked;
using support::DnsPacket;
using support::DnsResponder;
using support::kCname;
using support::SignedWorld;
using support::SignedZone;
namespace rdata = support::rdata;
using Packets = std::vector<std::string>;

/// A client and one resolver on a loop.
struct World {
  explicit World(DnsResponder::Script script) : server(loop, std::move(script)) {
    options.resolvers = {server.address()};
    options.try_timeout = seconds(5);
  }

  DnsClient& client() {
    if (!client_) {
      client_.emplace(loop, clock, options);
    }
    return *client_;
  }

  DnsResult ask(const std::string& name, DnsType type) {
    std::optional<DnsResult> result;
    const Operation operation =
        client().query(name, type, DnsCacheUse::allowed, [&](DnsResult answer) {
          result = std::move(answer);
          loop.stop();
        });
    REQUIRE_FALSE(result);
    support::run(loop);
    REQUIRE(result);
    return *result;
  }

  std::string probe() {
    std::string result;
    const Operation operation = client().probe_dnssec([&](std::string text) {
      result = std::move(text);
      loop.stop();
    });
    support::run(loop);
    return result;
  }

  EventLoop loop;
  support::ManualClock clock;
  DnsResponder server;
  DnsClientOptions options;
  std::optional<DnsClient> client_;
};

std::string state_of(const DnsResult& result) {
  if (const auto* failure = std::get_if<DnsFailure>(&result)) {
    return failure->reason;
  }
  const auto* answer = std::get_if<DnsAnswer>(&result);
  const auto state = answer != nullptr ? answer->dnssec : std::get<DnsNoRecord>(result).dnssec;
  return state == DnssecState::secure ? "secure" : "insecure";
}

// Names say what the resolver does: "ad.…" is authenticated, "alias.…" leads elsewhere.
Packets authenticating(const DnsAsked& asked) {
  const std::string& name = asked.question.name;
  DnsPacket packet(asked.question);
  if (name.find("bogus") != std::string::npos) {
    return {packet.rcode(2).bytes()};
  }
  if (name.starts_with("ad.") || name.starts_with("_25._tcp.ad.") || name.empty()) {
    packet.authentic();
  }
  if (name.find("alias") != std::string::npos) {
    const std::string target = name.substr(name.find("alias.") + 6);
    return {packet.answer(name, kCname, 60, support::wire_name(target)).bytes()};
  }
  switch (asked.question.type) {
    case DnsType::a:
      return {packet.answer(name, DnsType::a, 60, rdata::a("192.0.2.1")).bytes()};
    case DnsType::mx:
      return {packet.answer(name, DnsType::mx, 60, rdata::mx(10, "mx.test")).bytes()};
    case DnsType::tlsa:
      return {
          packet.answer(name, DnsType::tlsa, 60, "\x03\x01\x01" + std::string(32, 'x')).bytes()};
    case DnsType::dnskey:
      return {packet.answer("", DnsType::dnskey, 60, "\x01\x01\x03\x0dkey").bytes()};
    case DnsType::aaaa:
    case DnsType::txt:
    case DnsType::cname:
    case DnsType::ds:
      break;
  }
  return {packet.rcode(3).bytes()};
}

TEST_CASE("trust_ad: each type and each absence carries the state of every step (RFC 7672 §2.1)") {
  struct Row {
    const char* name;
    DnsType type;
    const char* expected;
  };
  World world(authenticating);
  world.options.trust_ad = world.options.resolvers;
  for (const Row& row : {
           Row{"ad.test", DnsType::mx, "secure"},
           Row{"ad.test", DnsType::a, "secure"},
           Row{"_25._tcp.ad.test", DnsType::tlsa, "secure"},
           Row{"ad.test", DnsType::aaaa, "secure"},  // an absence
           Row{"ad.test", DnsType::txt, "secure"},
           Row{"test", DnsType::mx, "insecure"},
           Row{"_25._tcp.test", DnsType::tlsa, "insecure"},
           Row{"test", DnsType::aaaa, "insecure"},
           Row{"ad.alias.ad.test", DnsType::a, "secure"},
           Row{"ad.alias.ad.test", DnsType::aaaa, "secure"},
           Row{"ad.alias.test", DnsType::a, "insecure"},
           Row{"ad.alias.test", DnsType::aaaa, "insecure"},
           Row{"alias.ad.test", DnsType::a, "insecure"},
           Row{"alias.ad.test", DnsType::aaaa, "insecure"},
           Row{"ad.alias.ad.test", DnsType::cname, "secure"},
           Row{"ad.bogus.test", DnsType::a, "SERVFAIL"},
           Row{"ad.alias.bogus.test", DnsType::tlsa, "SERVFAIL"},
       }) {
    CAPTURE(row.name);
    CAPTURE(static_cast<int>(row.type));
    CHECK(state_of(world.ask(row.name, row.type)) == row.expected);
  }
  CHECK(std::get<DnsAnswer>(world.ask("ad.alias.ad.test", DnsType::a)).canonical_name == "ad.test");
}

/// A root and test. below it, both signed.
SignedWorld new_world() {
  SignedWorld world;
  SignedZone test("test", {"test. IN MX 10 mx.test.", "mx.test. IN A 192.0.2.1",
                           "_25._tcp.mx.test. IN TLSA 3 1 1 " + std::string(64, 'a'),
                           "alias.test. IN CNAME mx.test.", "plain.test. IN NS ns.invalid."});
  world.add({".", {"test. IN NS ns.invalid.", test.ds()}});
  world.add(std::move(test));
  world.add({"plain.test",
             {"mx.plain.test. IN A 192.0.2.2"},
             {.signing = support::ZoneOptions::Signing::no}});
  return world;
}

const SignedWorld& shared_world() {
  static const SignedWorld kWorld = new_world();
  return kWorld;
}

DnsResponder::Script serving(SignedWorld::Tamper tamper = {}) {
  return [tamper = std::move(tamper)](const DnsAsked& asked) -> Packets {
    const std::string name = asked.question.name.empty() ? "." : asked.question.name;
    const auto packet =
        shared_world().respond({name, asked.question.type}, tamper, asked.question.id);
    return {{packet.begin(), packet.end()}};
  };
}

void validate(World& world) {
  world.options.dnssec = DnssecMode::validate;
  world.options.anchors =
      std::make_shared<const DnssecAnchors>(*DnssecAnchors::parse(shared_world().zone(".").ds()));
}

TEST_CASE("validate: the client checks the chain itself, and keeps the answer for its TTL") {
  World world(serving());
  validate(world);
  CHECK(world.client().dnssec_mode() == DnssecMode::validate);
  for (int i = 0; i < 2; ++i) {
    CHECK(state_of(world.ask("TEST", DnsType::mx)) == "secure");
    CHECK(state_of(world.ask("_25._tcp.mx.test", DnsType::tlsa)) == "secure");
    CHECK(state_of(world.ask("alias.test", DnsType::a)) == "secure");
    CHECK(state_of(world.ask("mx.test", DnsType::aaaa)) == "secure");
    CHECK(state_of(world.ask("mx.plain.test", DnsType::a)) == "insecure");
  }
  CHECK(std::get<DnsAnswer>(world.ask("alias.test", DnsType::a)).canonical_name == "mx.test");
  // MX and chain 4, TLSA 1, alias and its target 2, AAAA 1, the unsigned name and its DS 2.
  CHECK(world.server.asked().size() == 10);
  world.clock.advance(seconds(300));
  CHECK(state_of(world.ask("mx.test", DnsType::a)) == "secure");
  CHECK(world.server.asked().size() == 14);
}

TEST_CASE("validate: an AD bit is nothing, a broken signature is a failure") {
  World claimed([](const DnsAsked& asked) -> Packets {
    return {DnsPacket(asked.question)
                .authentic()
                .answer(asked.question.name, DnsType::a, 60, rdata::a("192.0.2.1"))
                .bytes()};
  });
  validate(claimed);
  claimed.options.trust_ad = claimed.options.resolvers;
  CHECK(state_of(claimed.ask("mx.test", DnsType::a)) ==
        "dnssec-bogus: no usable DNSKEY records of .");
  World spoilt(serving([](const DnsAsk& ask, ldns_pkt& packet) {
    if (ask.type == DnsType::a) {
      support::spoil_signatures(ldns_pkt_answer(&packet), LDNS_RR_TYPE_A);
    }
  }));
  validate(spoilt);
  CHECK(state_of(spoilt.ask("mx.test", DnsType::a)) ==
        "dnssec-bogus: mx.test: signature by test is wrong");
}

TEST_CASE("validate: a resolver that falls silent in mid-chain costs a bounded time") {
  World world([](const DnsAsked& asked) -> Packets {
    return asked.question.type == DnsType::a ? serving()(asked) : Packets{};
  });
  validate(world);
  world.options.try_timeout =
      milliseconds(400);  // the first answer must be in before, also on a busy machine
  world.options.rounds = 1;
  CHECK(state_of(world.ask("mx.test", DnsType::a)) == "DNSKEY of .: timeout after 0.4 s");
}

TEST_CASE("validate: equal questions are checked once, and a lookup may be given up") {
  World world(serving());
  validate(world);
  int answers = 0;
  const auto count = [&](const DnsResult& result) {
    CHECK(state_of(result) == "secure");
    if (++answers == 2) {
      world.loop.stop();
    }
  };
  auto& client = world.client();
  const Operation one = client.query("mx.test", DnsType::a, DnsCacheUse::allowed, count);
  const Operation two = client.query("MX.test", DnsType::a, DnsCacheUse::allowed, count);
  {
    const Operation dropped = client.query("test", DnsType::mx, DnsCacheUse::allowed,
                                           [](const DnsResult&) { FAIL("was given up"); });
  }
  support::run(world.loop);
  CHECK(answers == 2);
  std::size_t asked = 0;
  for (const DnsAsked& question : world.server.asked()) {
    asked += question.question.type == DnsType::a ? 1U : 0U;
  }
  CHECK(asked == 1);
  const Operation unfinished = client.query("test", DnsType::mx, DnsCacheUse::allowed,
                                            [](const DnsResult&) { FAIL("the client is gone"); });
  world.client_.reset();
  support::settle(world.loop);
}

TEST_CASE("a probe says whether secure answers are to be had, and why not") {
  World trusting(authenticating);
  trusting.options.trust_ad = trusting.options.resolvers;
  CHECK(trusting.probe() == "secure");
  World distrusting(authenticating);
  CHECK(distrusting.client().dnssec_mode() == DnssecMode::trust_ad);
  CHECK(distrusting.probe() ==
        "not-secure: no resolver with dns.trust_ad says that the root zone's keys are good");
  World refusing([](const DnsAsked& asked) -> Packets {
    return {DnsPacket(asked.question).rcode(5).bytes()};
  });
  CHECK(refusing.probe() == "not-secure: REFUSED");
  World ignorant(
      [](const DnsAsked& asked) -> Packets { return {DnsPacket(asked.question).bytes()}; });
  CHECK(ignorant.probe() == "not-secure: the resolver knows no keys of the root zone");

  World validating(serving());
  validate(validating);
  CHECK(validating.probe() == "secure");
  World without_anchor(serving());
  without_anchor.options.dnssec = DnssecMode::validate;
  CHECK(without_anchor.probe() == "not-secure: no trust anchor for the root zone");
  World stripping(serving([](const DnsAsk& /*ask*/, ldns_pkt& packet) {
    support::strip(ldns_pkt_answer(&packet), LDNS_RR_TYPE_RRSIG);
  }));
  validate(stripping);
  CHECK(stripping.probe() == "not-secure: dnssec-bogus: DNSKEY of .: no signature by .");
}

}  // namespace
