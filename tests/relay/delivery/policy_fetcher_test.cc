#include "relay/delivery/policy_fetcher.h"

#include <doctest/doctest.h>

#include "tests/relay/delivery/policy_world.h"

using namespace policy_world;

TEST_CASE("workers share the places for fetches, in all and at each address of a host") {
  World world;
  relay::delivery::FetchPlaces::Limits limits{3, 2};
  bool by_address = false;
  SUBCASE("in all") {
    limits = {2, 4};
  }
  SUBCASE("at an address") {
    by_address = true;
  }
  world.options.fetch_places = std::make_shared<relay::delivery::FetchPlaces>(limits);
  world.host.close();
  world.start();
  PolicyResolver other(world.loop, world.clock, world.dns, world.https, *world.spool, world.log,
                       world.options, {}, 1000);
  int answered = 0;
  const auto count = [&](const sts::PolicyVerdict& verdict) {
    CHECK(verdict.source == Source::fetched);
    ++answered;
  };
  std::vector<net::Operation> operations;
  for (const std::string domain : {"a.example", "b.example"}) {
    operations.push_back(world.ask(domain, count));
  }
  const auto& places = *world.options.fetch_places;
  const auto both_are_taken = [&] {
    return by_address ? places.peaks().at_one_address == 2 : places.peaks().in_all == 2;
  };
  world.run_until(both_are_taken);
  for (const std::string domain : {"c.example", "d.example"}) {
    operations.push_back(
        other.resolve(*net::DomainName::parse(domain), net::DnsCacheUse::allowed, count));
  }
  world.run_until(
      [&] { return world.queries[kTxt] == 4 && (!by_address || world.queries[kA] == 4); });
  support::settle(world.loop);
  CHECK(answered == 0);
  world.host.open();
  world.run_until([&] { return answered == 4; });
  CHECK(places.peaks().at_one_address == 2);
  CHECK(places.peaks().in_all <= limits.in_all);
}

TEST_CASE("any address of a policy host counts, not only the first") {
  World world;
  world.options.concurrent_fetches_per_host = 1;
  world.host.close();
  // b.example is had from ::1, too, where nobody listens.
  world.name_server.set_script([&](const support::DnsAsked& asked) {
    if (asked.question.type == net::DnsType::aaaa && asked.question.name == "mta-sts.b.example") {
      support::DnsPacket packet(asked.question);
      packet.answer(asked.question.name, asked.question.type, 0, support::rdata::aaaa("::1"));
      return std::vector<std::string>{packet.bytes()};
    }
    return world.answer(asked.question);
  });
  world.start();
  int answered = 0;
  std::vector<net::Operation> operations;
  for (const std::string domain : {"a.example", "b.example"}) {
    operations.push_back(world.ask(domain, [&](const sts::PolicyVerdict& verdict) {
      CHECK(verdict.source == Source::fetched);
      ++answered;
    }));
  }
  world.run_until([&] { return world.queries[kA] == 2 && world.host.requests() >= 1; });
  support::settle(world.loop);
  CHECK(world.host.requests() == 1);
  world.host.open();
  world.run_until([&] { return answered == 2; });
  CHECK(world.resolver->fetches().peaks.at_one_address == 1);
}
