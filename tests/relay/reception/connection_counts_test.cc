#include "relay/reception/connection_counts.h"

#include <memory>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

namespace relay::reception {
namespace {

TEST_CASE(
    "what became of connections is counted by listener and by which cap was full, and stays when "
    "they end") {
  const auto counts = std::make_shared<ConnectionCounts>();
  const ConnectionCounts::Caps caps{3, 2};
  {
    std::vector<decltype(counts->take("", caps, ""))> taken;
    for (const char* client : {"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"}) {
      taken.push_back(counts->take(client, caps, "192.0.2.25:25"));
    }
    taken.push_back(counts->take("192.0.2.3", caps, "192.0.2.25:587"));
    CHECK(counts->total() == 3);
  }
  CHECK(counts->total() == 0);
  const auto served = counts->served();
  REQUIRE(served.size() == 2);
  CHECK(served.at("192.0.2.25:25").accepted == 3);
  CHECK(served.at("192.0.2.25:25").refused_client == 1);
  CHECK(served.at("192.0.2.25:25").refused_total == 1);
  CHECK(served.at("192.0.2.25:587").accepted == 0);
  CHECK(served.at("192.0.2.25:587").refused_total == 1);
}

}  // namespace
}  // namespace relay::reception
