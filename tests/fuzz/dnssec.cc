// Any packets are taken as the answers of a chain of trust without a fault, in bounded steps, and
// never make a result that no key has signed secure: only the anchor's key could, and nobody has
// it.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "relay/net/dnssec_resolution.h"

namespace {

using relay::net::DnsAnswer;
using relay::net::DnsAsk;
using relay::net::DnsNoRecord;
using relay::net::DnsResult;
using relay::net::DnssecAnchors;
using relay::net::DnssecResolution;
using relay::net::DnssecState;
using relay::net::DnssecZones;
using relay::net::DnsType;

constexpr int kMaxSteps = 100;

const DnssecAnchors& anchors() {
  static const DnssecAnchors kAnchors = *DnssecAnchors::parse(
      ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n");
  return kAnchors;
}

void check(const DnsResult& result) {
  const auto* answer = std::get_if<DnsAnswer>(&result);
  const auto* absent = std::get_if<DnsNoRecord>(&result);
  if ((answer != nullptr && answer->dnssec == DnssecState::secure) ||
      (absent != nullptr && absent->dnssec == DnssecState::secure)) {
    std::abort();
  }
}

/// The next packet of the input: two octets of length, then so many or what is left.
std::vector<std::uint8_t> next_packet(const std::uint8_t*& data, std::size_t& size) {
  if (size < 2) {
    return {};
  }
  const std::size_t length = std::min<std::size_t>(std::size_t{data[0]} * 256 + data[1], size - 2);
  std::vector<std::uint8_t> packet(data + 2, data + 2 + length);
  data += 2 + length;
  size -= 2 + length;
  return packet;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  DnssecZones zones(8);
  DnssecResolution resolution(anchors(), zones, "example.net", DnsType::a);
  auto step = resolution.start();
  for (int steps = 0; std::holds_alternative<DnsAsk>(step); ++steps) {
    if (steps > kMaxSteps) {
      std::abort();
    }
    auto packet = next_packet(data, size);
    const relay::net::DnssecTime now{relay::net::WallTime(std::chrono::hours(480'000)),
                                     relay::net::SteadyTime(std::chrono::hours(1))};
    step = packet.size() < 12 ? resolution.on_failure({"none"})
                              : resolution.on_packet(std::move(packet), now);
  }
  check(std::get<DnsResult>(step));
  return 0;
}
