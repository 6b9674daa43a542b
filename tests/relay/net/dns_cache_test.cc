#include "relay/net/dns_cache.h"

#include <string>

#include <doctest/doctest.h>

#include "relay/net/dns_client.h"
#include "tests/relay/net/dns_fixture.h"

namespace {

using relay::net::DnsAnswer;
using relay::net::DnsCache;
using relay::net::DnsCacheUse;
using relay::net::DnsFailure;
using relay::net::DnsNoRecord;
using relay::net::DnsResult;
using relay::net::DnsType;
using std::chrono::seconds;
using support::address;
using support::DnsAsked;
using support::DnsPacket;
using support::DnsWorld;
using support::kSoa;
using support::one_address;
using support::Packets;
using support::servfail;
using support::Texts;
using support::texts;
using support::ttl;
namespace rdata = support::rdata;

TEST_CASE("an answer is kept for its TTL and says what is left of it") {
  DnsWorld world({address});
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
  DnsWorld world({[](const DnsAsked& asked) -> Packets {
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

TEST_CASE("failures and answers without TTL are not kept") {
  DnsWorld world({servfail});
  world.ask("example.net");
  world.servers[0]->set_script(
      [](const DnsAsked& asked) { return one_address(asked, "192.0.2.1", 0); });
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  world.ask("example.net");
  CHECK(world.asked() == 3);
}

TEST_CASE("bypassing the cache asks again and refreshes it") {
  DnsWorld world({address});
  world.ask("example.net");
  world.servers[0]->set_script(
      [](const DnsAsked& asked) { return one_address(asked, "192.0.2.2"); });
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  CHECK(texts(world.ask("example.net", DnsType::a, DnsCacheUse::bypass)) == Texts{"192.0.2.2"});
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.2"});
  CHECK(world.asked() == 2);
}

TEST_CASE("a full cache drops what was not used for longest") {
  DnsCache cache(2);
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

relay::net::DnsCacheKey key(const char* name) {
  return {name, DnsType::txt};
}

/// One TXT record of size octets.
DnsResult text_of_size(std::size_t size, seconds life = seconds(60)) {
  return DnsAnswer{Texts{std::string(size, 'x')}, "x", life};
}

TEST_CASE("what must not be kept still takes the place of what was known; a failure does not") {
  struct Row {
    const char* what;
    DnsResult result;
    bool known;  // the old answer
  };
  for (const Row& row : {
           Row{"an answer without TTL", text_of_size(1, seconds(0)), false},
           Row{"an absence without TTL", DnsNoRecord{false, seconds(0)}, false},
           Row{"an answer too large to keep", text_of_size(9000), false},
           Row{"a failure", DnsFailure{"SERVFAIL"}, true},
       }) {
    CAPTURE(row.what);
    DnsCache cache(2);
    const relay::net::SteadyTime now{};
    cache.put(key("a"), text_of_size(1), now);
    cache.put(key("a"), row.result, now);
    CHECK(cache.find(key("a"), now).has_value() == row.known);
    CHECK((cache.octets() > 0) == row.known);
  }
}

TEST_CASE("an answer without TTL ends what an earlier one said") {
  DnsWorld world({address});
  world.ask("example.net");
  world.servers[0]->set_script(
      [](const DnsAsked& asked) { return one_address(asked, "192.0.2.2", 0); });
  CHECK(texts(world.ask("example.net", DnsType::a, DnsCacheUse::bypass)) == Texts{"192.0.2.2"});
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.2"});
  CHECK(world.asked() == 3);
}

TEST_CASE("a cache is bounded in octets, not in entries only") {
  const relay::net::SteadyTime now{};
  DnsCache cache(100, 20000);
  for (const char* name : {"a", "b", "c"}) {
    cache.put(key(name), text_of_size(8000), now);
    CHECK(cache.octets() <= 20000);
  }
  CHECK(cache.size() == 2);
  CHECK_FALSE(cache.find(key("a"), now));
  CHECK(cache.find(key("c"), now));
  cache.put(key("c"), text_of_size(10), now);
  CHECK(cache.octets() < 9000);
  cache.put(key("b"), text_of_size(10, seconds(0)), now);
  CHECK(cache.size() == 1);
}

}  // namespace
