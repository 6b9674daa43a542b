#include "relay/delivery/fetch_places.h"

#include <optional>

#include <doctest/doctest.h>

#include "tests/relay/net/loop_fixture.h"

namespace {

namespace net = relay::net;
using relay::delivery::FetchPlaces;

// Two fetchers on one loop, and how often each was woken.
struct Two {
  explicit Two(FetchPlaces::Limits limits) : places(std::make_shared<FetchPlaces>(limits)) {
    first.emplace(places, loop, [this] { ++first_woken; });
    second.emplace(places, loop, [this] { ++second_woken; });
  }

  net::EventLoop loop;
  std::shared_ptr<FetchPlaces> places;
  int first_woken = 0, second_woken = 0;
  std::optional<FetchPlaces::Seat> first, second;
};

}  // namespace

TEST_CASE("a place at every address of a host is taken, or at none") {
  Two two({10, 1});
  CHECK(two.first->take({"192.0.2.1", "192.0.2.2"}));
  CHECK_FALSE(two.second->take({"192.0.2.2", "192.0.2.3"}));
  CHECK(two.second->take({"192.0.2.3"}));
  CHECK(two.places->peaks().in_all == 2);
  CHECK(two.places->peaks().at_one_address == 1);
  two.second->give_back({"192.0.2.3"});
  two.first->give_back({"192.0.2.1", "192.0.2.2"});
  CHECK(two.second->take({"192.0.2.2", "192.0.2.3"}));
}

TEST_CASE("a fetch that has its place among all waits for one at its addresses") {
  Two two({10, 1});
  CHECK(two.first->take());
  CHECK(two.second->take());
  CHECK(two.first->take_at({"192.0.2.1"}));
  CHECK_FALSE(two.second->take_at({"192.0.2.1"}));
  two.first->give_back({"192.0.2.1"});
  CHECK(two.second->take_at({"192.0.2.1"}));
}

TEST_CASE("who was refused is woken once when another gives a place back") {
  Two two({1, 1});
  CHECK(two.first->take());
  CHECK_FALSE(two.second->take());
  CHECK_FALSE(two.second->take());
  support::settle(two.loop);
  CHECK(two.second_woken == 0);
  two.first->give_back();
  CHECK(two.second_woken == 0);
  support::settle(two.loop);
  CHECK(two.second_woken == 1);
  CHECK(two.first_woken == 0);
  CHECK(two.second->take());
  two.second->give_back();
  support::settle(two.loop);
  CHECK(two.second_woken == 1);
}

TEST_CASE("who is gone is not woken") {
  Two two({1, 1});
  CHECK(two.first->take());
  CHECK_FALSE(two.second->take());
  two.first->give_back();
  two.second.reset();
  support::settle(two.loop);
  CHECK(two.second_woken == 0);
}
