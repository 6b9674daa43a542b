#include "relay/net/dns_client.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/dns_fixture.h"

namespace {

using relay::net::DnsAnswer;
using relay::net::DnsCacheUse;
using relay::net::DnsNoRecord;
using relay::net::DnsResult;
using relay::net::DnssecState;
using relay::net::DnsType;
using relay::net::Operation;
using relay::net::SocketAddress;
using std::chrono::milliseconds;
using std::chrono::seconds;
using support::address;
using support::closed_port;
using support::DnsAsked;
using support::DnsPacket;
using support::DnsTransport;
using support::DnsWorld;
using support::failure;
using support::kCname;
using support::kSoa;
using support::Packets;
using support::servfail;
using support::silence;
using support::Texts;
using support::texts;
using support::ttl;
using support::wire_name;
namespace rdata = support::rdata;

TEST_CASE("a question gets its answer") {
  DnsWorld world({address});
  const DnsResult result = world.ask("example.net");
  CHECK(texts(result) == Texts{"192.0.2.1"});
  CHECK(ttl(result) == seconds(60));
  CHECK(world.servers[0]->asked().at(0).question.name == "example.net");
  CHECK(world.servers[0]->asked().at(0).transport == DnsTransport::udp);
}

TEST_CASE("NXDOMAIN and NODATA are absences, told apart") {
  for (const unsigned rcode : {0U, 3U}) {
    DnsWorld world({[&](const DnsAsked& asked) -> Packets {
      return {DnsPacket(asked.question)
                  .rcode(rcode)
                  .authority("net", kSoa, 300, rdata::soa(120))
                  .bytes()};
    }});
    const DnsResult result = world.ask("example.net");
    REQUIRE(std::holds_alternative<DnsNoRecord>(result));
    CHECK(std::get<DnsNoRecord>(result).name_exists == (rcode == 0));
    CHECK(ttl(result) == seconds(120));
  }
}

TEST_CASE("SERVFAIL sends the question to the next resolver") {
  DnsWorld world({servfail, address});
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  CHECK(world.asked(0) == 1);
}

TEST_CASE("SERVFAIL from all resolvers is a failure after one round") {
  DnsWorld world({servfail, servfail});
  CHECK(failure(world.ask("example.net")) == "SERVFAIL");
  CHECK(world.asked(0) == 1);
  CHECK(world.asked(1) == 1);
}

TEST_CASE("silence is asked again in every round, then times out") {
  DnsWorld world({silence});
  world.options.try_timeout = milliseconds(20);
  CHECK(failure(world.ask("example.net")) == "timeout after 0.06 s");
  CHECK(world.asked() == 3);
}

TEST_CASE("a silent resolver does not keep the next from being asked") {
  DnsWorld world({silence, address});
  world.options.try_timeout = milliseconds(20);
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
}

TEST_CASE("a reason that a resolver gave outweighs the silence of another") {
  DnsWorld world({servfail, silence});
  world.options.try_timeout = milliseconds(20);
  world.options.rounds = 1;
  CHECK(failure(world.ask("example.net")) == "SERVFAIL");
}

TEST_CASE("an unreachable resolver is passed over at once") {
  DnsWorld world({address});
  world.options.try_timeout = std::chrono::minutes(5);
  world.options.resolvers.insert(world.options.resolvers.begin(), closed_port());
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
}

TEST_CASE("only unreachable resolvers is a failure at once") {
  DnsWorld world({});
  world.options.try_timeout = std::chrono::minutes(5);
  world.options.resolvers = {closed_port()};
  CHECK(failure(world.ask("example.net")) == "Connection refused");
}

TEST_CASE("ids and source ports cannot be foreseen") {
  DnsWorld world({address});
  std::set<std::uint16_t> ids;
  std::set<std::uint16_t> ports;
  for (int i = 0; i < 16; ++i) {
    world.ask("host" + std::to_string(i) + ".example.net");
    ids.insert(world.servers[0]->asked().back().question.id);
    ports.insert(world.servers[0]->asked().back().source_port);
  }
  CHECK(ids.size() > 8);
  CHECK(ports.size() > 8);
}

TEST_CASE("a CNAME chain is followed in a packet and across packets") {
  DnsWorld world({[](const DnsAsked& asked) -> Packets {
    if (asked.question.name == "example.net") {
      return {DnsPacket(asked.question)
                  .answer("example.net", kCname, 50, wire_name("b.test"))
                  .answer("b.test", kCname, 40, wire_name("c.test"))
                  .bytes()};
    }
    return address(asked);
  }});
  const DnsResult result = world.ask("example.net");
  CHECK(texts(result) == Texts{"192.0.2.1"});
  CHECK(std::get<DnsAnswer>(result).canonical_name == "c.test");
  CHECK(ttl(result) == seconds(40));
  CHECK(world.asked() == 2);
}

TEST_CASE("a CNAME chain that never ends is given up") {
  DnsWorld world({[](const DnsAsked& asked) -> Packets {
    return {DnsPacket(asked.question)
                .answer(asked.question.name, kCname, 50, wire_name("x." + asked.question.name))
                .bytes()};
  }});
  CHECK(failure(world.ask("example.net")) == "CNAME chain too long");
  CHECK(world.asked() == 9);
}

TEST_CASE("the AD bit counts from trusted resolvers, for the whole chain") {
  const auto answer = [](const DnsAsked& asked) -> Packets {
    DnsPacket packet(asked.question);
    if (asked.question.name == "alias.test") {
      return {packet.answer("alias.test", kCname, 60, wire_name("example.net")).bytes()};
    }
    return {packet.authentic()
                .answer(asked.question.name, DnsType::a, 60, rdata::a("192.0.2.1"))
                .bytes()};
  };
  DnsWorld plain({answer});
  CHECK(std::get<DnsAnswer>(plain.ask("example.net")).dnssec == DnssecState::insecure);
  DnsWorld trusting({answer});
  trusting.options.trust_ad = trusting.options.resolvers;
  CHECK(std::get<DnsAnswer>(trusting.ask("example.net")).dnssec == DnssecState::secure);
  CHECK(std::get<DnsAnswer>(trusting.ask("alias.test")).dnssec == DnssecState::insecure);
}

TEST_CASE("equal questions under way are asked once, and one may be cancelled") {
  DnsWorld world({address});
  int answers = 0;
  const auto count = [&](const DnsResult& result) {
    CHECK(texts(result) == Texts{"192.0.2.1"});
    ++answers;
  };
  auto first = world.client().query("example.net", DnsType::a, DnsCacheUse::allowed, count);
  auto second = world.client().query("Example.NET", DnsType::a, DnsCacheUse::allowed, count);
  auto third = world.client().query("example.net", DnsType::a, DnsCacheUse::bypass, count);
  first.cancel();
  world.settle();
  CHECK(answers == 2);
  CHECK(world.asked() == 1);
}

TEST_CASE("a question that nobody waits for any more is given up") {
  DnsWorld world({address});
  auto operation = world.client().query("example.net", DnsType::a, DnsCacheUse::allowed,
                                        [](const DnsResult&) { FAIL("cancelled"); });
  operation.cancel();
  world.settle();
  world.ask("example.net");  // nothing was kept either
  CHECK(world.asked() == 2);
}

TEST_CASE("cancelling takes back a result that is already on its way") {
  DnsWorld world({address});
  world.ask("example.net");
  Operation second;
  int answers = 0;
  const Operation first =
      world.client().query("example.net", DnsType::a, DnsCacheUse::allowed, [&](const DnsResult&) {
        ++answers;
        second.cancel();
      });
  second = world.client().query("example.net", DnsType::a, DnsCacheUse::allowed,
                                [&](const DnsResult&) { ++answers; });
  world.settle();
  CHECK(answers == 1);
}

TEST_CASE("a callback may ask on, drop its own operation, and destroy the client") {
  DnsWorld world({address});
  Operation first;
  Operation second;
  int answers = 0;
  first =
      world.client().query("example.net", DnsType::a, DnsCacheUse::allowed, [&](const DnsResult&) {
        ++answers;
        first.cancel();
        second = world.client().query("example.net", DnsType::a, DnsCacheUse::allowed,
                                      [&](const DnsResult&) {
                                        ++answers;
                                        world.client_.reset();
                                      });
        CHECK(answers == 1);
      });
  const Operation third = world.client().query("other.net", DnsType::a, DnsCacheUse::allowed,
                                               [&](const DnsResult&) { ++answers; });
  world.settle();
  CHECK(answers >= 2);
  CHECK_FALSE(world.client_);
}

TEST_CASE("no callback comes after the client's end, and operations may outlive it") {
  DnsWorld world({address});
  Operation kept = world.client().query("example.net", DnsType::a, DnsCacheUse::allowed,
                                        [](const DnsResult&) { FAIL("the client is gone"); });
  world.client_.reset();
  world.settle();
  kept.cancel();
}

TEST_CASE("a name that no packet can carry has no records, and nobody is asked") {
  DnsWorld world({address});
  for (const char* name : {"", "a..b", "a b.test", "a\\.b"}) {
    CHECK(std::holds_alternative<DnsNoRecord>(world.ask(name)));
  }
  CHECK(world.asked() == 0);
}

TEST_CASE("without resolvers every question fails") {
  DnsWorld world({});
  CHECK(failure(world.ask("example.net")) == "no resolver configured");
}

TEST_CASE("the system's resolvers are read from resolv.conf") {
  const auto literals = [](const std::string& text) {
    Texts result;
    for (const SocketAddress& resolver : relay::net::system_resolvers(text)) {
      result.push_back(resolver.literal());
    }
    return result;
  };
  CHECK(literals("# comment\nsearch example.net\nnameserver 192.0.2.53\n\tnameserver\t2001:db8::53 "
                 "# second\n;nameserver 192.0.2.54\noptions edns0\n") ==
        Texts{"192.0.2.53:53", "[2001:db8::53]:53"});
  CHECK(literals("nameserver nonsense\n") == Texts{"127.0.0.1:53"});
  CHECK(literals("") == Texts{"127.0.0.1:53"});
}

TEST_CASE("S37: TXT answers are kept for their TTL, and not asked for more than once a minute") {
  struct Row {
    std::uint32_t ttl;
    seconds kept;
  };
  for (const auto& [given, kept] : std::vector<Row>{
           {0, seconds(60)}, {30, seconds(60)}, {300, seconds(300)}, {100000, seconds(3600)}}) {
    CAPTURE(given);
    DnsWorld world({[given = given](const DnsAsked& asked) -> Packets {
      DnsPacket packet(asked.question);
      packet.answer(asked.question.name, DnsType::txt, given, rdata::txt({"v=STSv1; id=1"}));
      return {packet.bytes()};
    }});
    world.options.min_txt_ttl = seconds(60);
    for (int message = 0; message < 100; ++message) {
      world.ask("_mta-sts.example.net", DnsType::txt);
    }
    CHECK(world.asked() == 1);
    world.clock.advance(kept - seconds(1));
    world.ask("_mta-sts.example.net", DnsType::txt);
    CHECK(world.asked() == 1);
    world.clock.advance(seconds(1));
    world.ask("_mta-sts.example.net", DnsType::txt);
    CHECK(world.asked() == 2);
  }
}

}  // namespace
