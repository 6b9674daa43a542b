// Discovery that no delivery waits for: the background's refresh, and the operator's order.
#include <doctest/doctest.h>

#include "tests/sts/discovery_fixture.h"

namespace {

using namespace sts::testing;

}  // namespace

TEST_CASE("a refresh fetches under an unchanged id, and a failure neither evicts nor hurries") {
  Domain domain;
  domain.know("1", "enforce");
  domain.now += hours{20};
  const auto failed = domain.look(sts::Purpose::refresh, txt("1"), status(503));
  CHECK(mode(failed) == "enforce");
  CHECK(fault(failed) == "fetch http-503");
  REQUIRE(failed.backoff);
  domain.now += minutes{4};
  CHECK(fault(domain.look(sts::Purpose::refresh, txt("1"))) == "fetch http-503");
  CHECK(fault(domain.look(sts::Purpose::refresh, sts::RecordAbsent{})) == "fetch http-503");
  CHECK_FALSE(domain.fetched);
  domain.now += minutes{1};
  const auto again = domain.look(sts::Purpose::refresh, txt("1"), ok(body("enforce")));
  CHECK(again.source == Source::fetched);
  CHECK(again.note.find("unchanged") != std::string::npos);
  CHECK(domain.cache.backoff(kDomain) == nullptr);
}

TEST_CASE("a refresh that fails for mode none is silent") {
  Domain domain;
  domain.know("1", "none");
  domain.now += hours{20};
  const auto failed = domain.look(sts::Purpose::refresh, sts::RecordAbsent{}, status(404));
  CHECK(fault(failed).empty());
  CHECK(mode(failed) == "none");
  CHECK(failed.backoff);
}

TEST_CASE("a refresh takes a new id with it") {
  Domain domain;
  domain.know("1", "enforce");
  domain.now += hours{20};
  CHECK(domain.look(sts::Purpose::refresh, txt("2"), ok(body("testing"))).store->id == "2");
}

TEST_CASE("an order fetches in spite of a back-off, but only where a policy is announced") {
  Domain domain;
  CHECK(fault(domain.deliver(txt("1"), status(500))) == "fetch http-500");
  CHECK(domain.look(sts::Purpose::order, txt("1"), ok(body("enforce"))).source == Source::fetched);
  Domain unknown;
  CHECK(mode(unknown.look(sts::Purpose::order, sts::RecordAbsent{})) == "no policy");
  CHECK_FALSE(unknown.fetched);
}
