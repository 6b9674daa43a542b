// DNS packets as values: encode a query, decode an answer. ldns is the codec (RFC 1035, 6891). Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "relay/net/expected.h"

namespace relay::net {

enum class DnsType : std::uint16_t { a = 1, cname = 5, mx = 15, txt = 16, aaaa = 28, tlsa = 52 };

struct DnsMx {
  std::uint16_t preference;
  std::string exchange;  ///< lower case, no trailing dot; empty for the root (null MX, RFC 7505)
};
struct DnsTlsa {
  std::uint8_t usage, selector, matching_type;
  std::string data;  ///< raw bytes
};
/// Records of the queried type only, CNAME chain (within the packet) already followed.
/// a/aaaa: canonical IP text; txt: one string per RR, its character-strings joined (RFC 8461 §3.1).
using DnsRecords = std::variant<std::vector<std::string>, std::vector<DnsMx>, std::vector<DnsTlsa>>;

enum class DnssecState { insecure, secure };

struct DnsAnswer {
  DnsRecords records;
  std::string canonical_name;  ///< owner of the records after CNAMEs
  std::chrono::seconds ttl{0};
  DnssecState dnssec = DnssecState::insecure;
};
/// NXDOMAIN or NODATA.
struct DnsNoRecord {
  bool name_exists = false;  ///< true: NODATA
  std::chrono::seconds ttl{0};
  DnssecState dnssec = DnssecState::insecure;
};
/// Nothing is known: SERVFAIL, REFUSED, time-out, garbage. Temporary.
struct DnsFailure {
  std::string reason;  ///< "SERVFAIL", "timeout", "malformed answer"
};
using DnsResult = std::variant<DnsAnswer, DnsNoRecord, DnsFailure>;

}  // namespace relay::net
