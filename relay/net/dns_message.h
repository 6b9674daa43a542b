// DNS packets as values: encode a query, decode an answer. ldns is the codec (RFC 1035, 6891).
// Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "relay/net/expected.h"

namespace relay::net {

enum class DnsType : std::uint16_t {
  a = 1,
  cname = 5,
  mx = 15,
  txt = 16,
  aaaa = 28,
  ds = 43,
  dnskey = 48,
  tlsa = 52
};

struct DnsMx {
  std::uint16_t preference;
  std::string exchange;  ///< lower case, no trailing dot; empty for the root (null MX, RFC 7505)
};
struct DnsTlsa {
  std::uint8_t usage, selector, matching_type;
  std::string data;  ///< raw bytes
};
/// Records of the queried type only, CNAME chain (within the packet) already followed.
/// a/aaaa: canonical IP text; txt: one string per RR, its character-strings joined (RFC 8461 §3.1);
/// ds/dnskey: the data as octets.
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

/// Who validates signatures: the resolver, or we (RFC 4035 §3.2.2: CD is set, and a resolver that
/// holds the answer for bogus hands it over).
enum class DnsChecking { by_resolver, by_us };

/// What a query asks and what its answer must repeat (RFC 5452 §4.2, §4.3).
struct DnsQuestion {
  std::uint16_t id;
  std::string name;  ///< no trailing dot; "." is the root
  DnsType type;
  DnsChecking checking = DnsChecking::by_resolver;
};

/// Whether the AD bit of the resolver that sent a packet means anything (RFC 6840 §5.7).
enum class AdTrust { ignored, trusted };

/// A CNAME chain that leaves the packet: ask on for target.
struct DnsAlias {
  std::string target;
  std::chrono::seconds ttl{0};
  DnssecState dnssec = DnssecState::insecure;
};
/// TC is set: ask again over TCP (RFC 7766 §5).
struct DnsTruncated {};
/// A response to this question that cannot be read.
struct DnsMalformed {};
/// Not a response to this question: other id, other question, or no response at all.
struct DnsMismatch {};
/// The whole response to a question that is to be checked by us, its records not yet looked at.
struct DnsRaw {
  std::vector<std::uint8_t> packet;
};
using DnsDecoded = std::variant<DnsAnswer, DnsNoRecord, DnsAlias, DnsRaw, DnsFailure, DnsTruncated,
                                DnsMalformed, DnsMismatch>;

/// Whether name can be asked for: the root ("."), or labels of 1 to 63 octets, 253 in all,
/// printable ASCII without what master files escape. Other names exist nowhere as far as mail is
/// concerned.
[[nodiscard]] bool askable(std::string_view name);

/// A recursive query with EDNS 1232, DO, and AD or CD (RFC 6891, 4035 §3.2.1, 6840 §5.7), ready for
/// a datagram. Empty when the name is not askable.
[[nodiscard]] std::vector<std::uint8_t> encode_query(const DnsQuestion& question);

/// Reads a packet as the response to question. MX and CNAME targets that are not askable are
/// left out; nothing else left is a failure, never an absence.
[[nodiscard]] DnsDecoded decode_answer(std::span<const std::uint8_t> packet,
                                       const DnsQuestion& question, AdTrust trust);

}  // namespace relay::net
