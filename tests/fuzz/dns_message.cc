// Any packet is read as the response to a question about example.net without a fault, and what is
// taken from it can be used: names that can be asked for, TTLs in range, never an empty answer.
#include "relay/net/dns_message.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace {

using relay::net::askable;
using relay::net::DnsAlias;
using relay::net::DnsAnswer;
using relay::net::DnsMx;
using relay::net::DnsNoRecord;
using relay::net::DnsTlsa;
using relay::net::DnsType;
using std::chrono::seconds;

constexpr std::size_t kTypeAt = 12 + 13 + 1;  // the type's low octet, after header and name
constexpr std::array kTypes{DnsType::a,   DnsType::cname, DnsType::mx,
                            DnsType::txt, DnsType::aaaa,  DnsType::tlsa};

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

bool in_range(seconds ttl) {
  return ttl >= seconds(0) && ttl <= seconds(0x7fffffff);
}

void check_records(const DnsAnswer& answer, DnsType type) {
  if (const auto* mx = std::get_if<std::vector<DnsMx>>(&answer.records)) {
    require(type == DnsType::mx && !mx->empty());
    require(std::ranges::all_of(
        *mx, [](const DnsMx& one) { return one.exchange.empty() || askable(one.exchange); }));
  } else if (const auto* tlsa = std::get_if<std::vector<DnsTlsa>>(&answer.records)) {
    require(type == DnsType::tlsa && !tlsa->empty());
  } else {
    require(type != DnsType::mx && type != DnsType::tlsa &&
            !std::get<std::vector<std::string>>(answer.records).empty());
  }
}

void check(const relay::net::DnsDecoded& decoded, DnsType type) {
  if (const auto* answer = std::get_if<DnsAnswer>(&decoded)) {
    require(in_range(answer->ttl) && askable(answer->canonical_name));
    check_records(*answer, type);
  } else if (const auto* alias = std::get_if<DnsAlias>(&decoded)) {
    require(in_range(alias->ttl) && askable(alias->target));
  } else if (const auto* absent = std::get_if<DnsNoRecord>(&decoded)) {
    require(in_range(absent->ttl));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span packet(data, size);
  if (size <= kTypeAt) {
    return 0;
  }
  const auto id = static_cast<std::uint16_t>((data[0] << 8U) | data[1]);
  const auto* const type = std::ranges::find(kTypes, static_cast<DnsType>(data[kTypeAt]));
  if (type == kTypes.end()) {
    return 0;
  }
  check(relay::net::decode_answer(packet, {id, "example.net", *type}, relay::net::AdTrust::trusted),
        *type);
  const std::string name(packet.begin(), packet.end());
  require(relay::net::encode_query({id, name, *type}).empty() == !askable(name));
  return 0;
}
