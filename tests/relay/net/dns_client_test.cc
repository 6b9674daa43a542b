#include "relay/net/dns_client.h"

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/dns_cache.h"
#include "tests/relay/net/dns_packet.h"
#include "tests/relay/net/dns_responder.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/support/manual_clock.h"

namespace {

using relay::net::DnsAnswer;
using relay::net::DnsCacheUse;
using relay::net::DnsClient;
using relay::net::DnsClientOptions;
using relay::net::DnsFailure;
using relay::net::DnsNoRecord;
using relay::net::DnsResult;
using relay::net::DnssecState;
using relay::net::DnsType;
using relay::net::EventLoop;
using relay::net::Operation;
using relay::net::SocketAddress;
using relay::net::Timer;
using std::chrono::milliseconds;
using std::chrono::seconds;
using support::DnsAsked;
using support::DnsPacket;
using support::DnsResponder;
using support::DnsTransport;
using support::kCname;
using support::kSoa;
using support::wire_name;
namespace rdata = support::rdata;
using Texts = std::vector<std::string>;
using Packets = std::vector<std::string>;

Packets one_address(const DnsAsked& asked, const std::string& ip = "192.0.2.1",
                    std::uint32_t ttl = 60) {
  return {
      DnsPacket(asked.question).answer(asked.question.name, DnsType::a, ttl, rdata::a(ip)).bytes()};
}
Packets address(const DnsAsked& asked) {
  return one_address(asked);
}
Packets silence(const DnsAsked& /*asked*/) {
  return {};
}
Packets servfail(const DnsAsked& asked) {
  return {DnsPacket(asked.question).rcode(2).bytes()};
}

/// A loop with name servers on it and a client that asks them in order.
struct World {
  explicit World(std::vector<DnsResponder::Script> scripts) {
    for (auto& script : scripts) {
      servers.push_back(std::make_unique<DnsResponder>(loop, std::move(script)));
      options.resolvers.push_back(servers.back()->address());
    }
    options.try_timeout = seconds(5);
  }

  DnsClient& client() {
    if (!client_) {
      client_.emplace(loop, clock, options);
    }
    return *client_;
  }

  void run() { support::run(loop); }

  /// Runs the loop until every callback in progress has had its chance.
  void settle() {
    Timer later(loop, [this] { loop.stop(); });
    later.start(milliseconds(20));
    run();
  }

  DnsResult ask(const std::string& name, DnsType type = DnsType::a,
                DnsCacheUse cache = DnsCacheUse::allowed) {
    std::optional<DnsResult> result;
    const Operation operation = client().query(name, type, cache, [&](DnsResult answer) {
      result = std::move(answer);
      loop.stop();
    });
    REQUIRE_FALSE(result);  // never inside query()
    run();
    REQUIRE(result);
    return *result;
  }

  [[nodiscard]] std::size_t asked(std::size_t server = 0) const {
    return servers.at(server)->asked().size();
  }

  EventLoop loop;
  support::ManualClock clock;
  std::vector<std::unique_ptr<DnsResponder>> servers;
  DnsClientOptions options;
  std::optional<DnsClient> client_;
};

const Texts& texts(const DnsResult& result) {
  REQUIRE(std::holds_alternative<DnsAnswer>(result));
  return std::get<Texts>(std::get<DnsAnswer>(result).records);
}

std::string failure(const DnsResult& result) {
  REQUIRE(std::holds_alternative<DnsFailure>(result));
  return std::get<DnsFailure>(result).reason;
}

seconds ttl(const DnsResult& result) {
  return relay::net::ttl_of(result);
}

/// A loopback address where nobody listens.
SocketAddress closed_port() {
  EventLoop loop;
  const DnsResponder gone(loop, silence);
  return gone.address();
}

TEST_CASE("a question gets its answer") {
  World world({address});
  const DnsResult result = world.ask("example.net");
  CHECK(texts(result) == Texts{"192.0.2.1"});
  CHECK(ttl(result) == seconds(60));
  CHECK(world.servers[0]->asked().at(0).question.name == "example.net");
  CHECK(world.servers[0]->asked().at(0).transport == DnsTransport::udp);
}

TEST_CASE("NXDOMAIN and NODATA are absences, told apart") {
  for (const unsigned rcode : {0U, 3U}) {
    World world({[&](const DnsAsked& asked) -> Packets {
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
  World world({servfail, address});
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  CHECK(world.asked(0) == 1);
}

TEST_CASE("SERVFAIL from all resolvers is a failure after one round") {
  World world({servfail, servfail});
  CHECK(failure(world.ask("example.net")) == "SERVFAIL");
  CHECK(world.asked(0) == 1);
  CHECK(world.asked(1) == 1);
}

TEST_CASE("silence is asked again in every round, then times out") {
  World world({silence});
  world.options.try_timeout = milliseconds(20);
  CHECK(failure(world.ask("example.net")) == "timeout after 0.06 s");
  CHECK(world.asked() == 3);
}

TEST_CASE("a silent resolver does not keep the next from being asked") {
  World world({silence, address});
  world.options.try_timeout = milliseconds(20);
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
}

TEST_CASE("a reason that a resolver gave outweighs the silence of another") {
  World world({servfail, silence});
  world.options.try_timeout = milliseconds(20);
  world.options.rounds = 1;
  CHECK(failure(world.ask("example.net")) == "SERVFAIL");
}

TEST_CASE("an unreachable resolver is passed over at once") {
  World world({address});
  world.options.try_timeout = std::chrono::minutes(5);
  world.options.resolvers.insert(world.options.resolvers.begin(), closed_port());
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
}

TEST_CASE("only unreachable resolvers is a failure at once") {
  World world({});
  world.options.try_timeout = std::chrono::minutes(5);
  world.options.resolvers = {closed_port()};
  CHECK(failure(world.ask("example.net")) == "Connection refused");
}

TEST_CASE("a truncated or malformed answer is asked for again over TCP") {
  const auto truncated = [](const DnsAsked& asked) {
    return DnsPacket(asked.question).truncated().bytes();
  };
  const auto malformed = [](const DnsAsked& asked) {
    return DnsPacket(asked.question).answer("example.net", DnsType::a, 1, "abc").bytes();
  };
  for (const auto& first :
       std::vector<std::function<std::string(const DnsAsked&)>>{truncated, malformed}) {
    World world({[&](const DnsAsked& asked) -> Packets {
      return asked.transport == DnsTransport::udp ? Packets{first(asked)} : address(asked);
    }});
    CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
    CHECK(world.asked() == 2);
  }
}

TEST_CASE("an answer of many segments over TCP arrives whole") {
  World world({[](const DnsAsked& asked) -> Packets {
    DnsPacket packet(asked.question);
    if (asked.transport == DnsTransport::udp) {
      return {packet.truncated().bytes()};
    }
    for (int i = 0; i < 200; ++i) {
      packet.answer("example.net", DnsType::txt, 60, rdata::txt({std::string(250, 'x')}));
    }
    return {packet.bytes()};
  }});
  CHECK(texts(world.ask("example.net", DnsType::txt)).size() == 200);
}

TEST_CASE("an answer that is no better over TCP is a failure") {
  World world({[](const DnsAsked& asked) -> Packets {
    return {DnsPacket(asked.question).truncated().bytes()};
  }});
  CHECK(failure(world.ask("example.net")) == "malformed answer");
}

TEST_CASE("packets with another id or another question are ignored") {
  World world({[](const DnsAsked& asked) -> Packets {
    DnsAsked other = asked;
    other.question.name = "example.org";
    const auto wrong_id = static_cast<std::uint16_t>(asked.question.id ^ 1U);
    return {DnsPacket(asked.question)
                .id(wrong_id)
                .answer("example.net", DnsType::a, 60, rdata::a("203.0.113.66"))
                .bytes(),
            one_address(other, "203.0.113.66")[0], one_address(asked)[0]};
  }});
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  CHECK(world.asked() == 1);
}

TEST_CASE("a shower of wrong ids is answered with TCP") {
  World world({[](const DnsAsked& asked) -> Packets {
    if (asked.transport == DnsTransport::tcp) {
      return address(asked);
    }
    Packets guesses;
    for (unsigned i = 1; i <= 20; ++i) {
      const auto id = static_cast<std::uint16_t>(asked.question.id + i);
      guesses.push_back(DnsPacket(asked.question).id(id).bytes());
    }
    return guesses;
  }});
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  CHECK(world.servers[0]->asked().back().transport == DnsTransport::tcp);
}

TEST_CASE("ids and source ports cannot be foreseen") {
  World world({address});
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
  World world({[](const DnsAsked& asked) -> Packets {
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
  World world({[](const DnsAsked& asked) -> Packets {
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
  World plain({answer});
  CHECK(std::get<DnsAnswer>(plain.ask("example.net")).dnssec == DnssecState::insecure);
  World trusting({answer});
  trusting.options.trust_ad = trusting.options.resolvers;
  CHECK(std::get<DnsAnswer>(trusting.ask("example.net")).dnssec == DnssecState::secure);
  CHECK(std::get<DnsAnswer>(trusting.ask("alias.test")).dnssec == DnssecState::insecure);
}

TEST_CASE("an answer is kept for its TTL and says what is left of it") {
  World world({address});
  world.ask("example.net");
  world.clock.advance(seconds(59));
  CHECK(ttl(world.ask("EXAMPLE.net")) == seconds(1));
  CHECK(world.asked() == 1);
  world.clock.advance(seconds(1));
  CHECK(ttl(world.ask("example.net")) == seconds(60));
  CHECK(world.asked() == 2);
  world.ask("example.net", DnsType::txt);  // another type is another question
  CHECK(world.asked() == 3);
}

TEST_CASE("TTLs are capped") {
  World world({[](const DnsAsked& asked) -> Packets {
    return asked.question.name == "example.net"
               ? one_address(asked, "192.0.2.1", 1000000)
               : Packets{DnsPacket(asked.question)
                             .rcode(3)
                             .authority("net", kSoa, 1000000, rdata::soa(1000000))
                             .bytes()};
  }});
  CHECK(ttl(world.ask("example.net")) == world.options.max_ttl);
  CHECK(ttl(world.ask("absent.net")) == world.options.max_negative_ttl);
  world.clock.advance(world.options.max_negative_ttl);
  world.ask("example.net");
  CHECK(world.asked() == 2);
  world.ask("absent.net");
  CHECK(world.asked() == 3);
}

TEST_CASE("S37: TXT answers are kept for their TTL, and not asked for more than once a minute") {
  struct Row {
    std::uint32_t ttl;
    seconds kept;
  };
  for (const auto& [given, kept] : std::vector<Row>{
           {0, seconds(60)}, {30, seconds(60)}, {300, seconds(300)}, {100000, seconds(3600)}}) {
    CAPTURE(given);
    World world({[given = given](const DnsAsked& asked) -> Packets {
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

TEST_CASE("failures and answers without TTL are not kept") {
  World world({servfail});
  world.ask("example.net");
  world.servers[0]->set_script(
      [](const DnsAsked& asked) { return one_address(asked, "192.0.2.1", 0); });
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  world.ask("example.net");
  CHECK(world.asked() == 3);
}

TEST_CASE("bypassing the cache asks again and refreshes it") {
  World world({address});
  world.ask("example.net");
  world.servers[0]->set_script(
      [](const DnsAsked& asked) { return one_address(asked, "192.0.2.2"); });
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  CHECK(texts(world.ask("example.net", DnsType::a, DnsCacheUse::bypass)) == Texts{"192.0.2.2"});
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.2"});
  CHECK(world.asked() == 2);
}

TEST_CASE("a full cache drops what was not used for longest") {
  relay::net::DnsCache cache(2);
  const relay::net::SteadyTime now{};
  const auto key = [](const char* name) { return relay::net::DnsCacheKey{name, DnsType::a}; };
  const DnsResult absent = DnsNoRecord{false, seconds(60)};
  cache.put(key("a"), absent, now);
  cache.put(key("b"), absent, now);
  CHECK(cache.find(key("a"), now));
  cache.put(key("c"), absent, now);
  CHECK(cache.size() == 2);
  CHECK(cache.find(key("a"), now));
  CHECK_FALSE(cache.find(key("b"), now));
  CHECK(cache.find(key("c"), now));
}

TEST_CASE("equal questions under way are asked once, and one may be cancelled") {
  World world({address});
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
  World world({address});
  auto operation = world.client().query("example.net", DnsType::a, DnsCacheUse::allowed,
                                        [](const DnsResult&) { FAIL("cancelled"); });
  operation.cancel();
  world.settle();
  world.ask("example.net");  // nothing was kept either
  CHECK(world.asked() == 2);
}

TEST_CASE("cancelling takes back a result that is already on its way") {
  World world({address});
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
  World world({address});
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
  World world({address});
  Operation kept = world.client().query("example.net", DnsType::a, DnsCacheUse::allowed,
                                        [](const DnsResult&) { FAIL("the client is gone"); });
  world.client_.reset();
  world.settle();
  kept.cancel();
}

TEST_CASE("a name that no packet can carry has no records, and nobody is asked") {
  World world({address});
  for (const char* name : {"", "a..b", "a b.test", "a\\.b"}) {
    CHECK(std::holds_alternative<DnsNoRecord>(world.ask(name)));
  }
  CHECK(world.asked() == 0);
}

TEST_CASE("without resolvers every question fails") {
  World world({});
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

}  // namespace
