// The signed records of a response and the check of their signatures (RFC 4034, RFC 4035 §5.3).
// ldns does the arithmetic; what is tried is bounded, whatever a packet holds. Pure. For relay/net
// only.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldns/ldns.h>

#include "relay/net/clock.h"
#include "relay/net/dns_wire.h"
#include "relay/net/expected.h"

namespace relay::net {

struct FreeRecordList {
  void operator()(ldns_rr_list* list) const { ldns_rr_list_free(list); }
};
/// A list that does not own its records.
using RecordListHandle = std::unique_ptr<ldns_rr_list, FreeRecordList>;

/// Zones and names are lower-case text without a trailing dot; the root is kRootName.
[[nodiscard]] bool is_in(std::string_view name, std::string_view zone);
/// name without its first label. name: not the root.
[[nodiscard]] std::string parent_of(std::string_view name);
/// The ancestor-or-self of name that has one label more than above. name: below above.
[[nodiscard]] std::string child_towards(std::string_view above, std::string_view name);
/// Labels as an RRSIG counts them: neither the root's nor a leading "*" (RFC 4034 §3.1.3).
[[nodiscard]] unsigned label_count(std::string_view name);
[[nodiscard]] unsigned label_count(const ldns_rdf* name);
[[nodiscard]] NameHandle make_name(std::string_view name);
/// Nothing when the name holds octets that are no plain text.
[[nodiscard]] std::optional<std::string> name_of(const ldns_rdf* name);

/// Signature checks that one packet may cost (a packet may hold any number of keys and signatures
/// that collide, CVE-2023-50387).
class DnssecBudget {
 public:
  explicit DnssecBudget(int checks = 16) : left_(checks) {}
  [[nodiscard]] bool spend() { return left_-- > 0; }

 private:
  int left_;
};

/// The keys of a zone that a chain of trust vouches for.
class ZoneKeys {
 public:
  /// records: DNSKEY records; those that may not sign a zone's data are left out. Keeps copies.
  ZoneKeys(std::string zone, const std::vector<const ldns_rr*>& records);

  [[nodiscard]] const std::string& zone() const { return zone_; }
  [[nodiscard]] const std::vector<RecordHandle>& keys() const { return keys_; }

 private:
  std::string zone_;
  std::vector<RecordHandle> keys_;
};

/// Whether a DNSKEY may sign zone data: zone key, protocol 3, not revoked (RFC 4034 §2.1, RFC 5011
/// §2.1).
[[nodiscard]] bool is_zone_key(const ldns_rr& key);
/// Whether signatures of the algorithm can be checked here.
[[nodiscard]] bool is_supported_algorithm(unsigned algorithm);

/// The records of one owner and type in one section of a message, which it must not outlive.
struct RecordSet {
  const ldns_rdf* owner = nullptr;
  std::vector<ldns_rr*> records;
  std::vector<ldns_rr*> signatures;  ///< RRSIGs over them
};

/// What a good signature says about its records.
struct SignedBy {
  unsigned labels;           ///< fewer than the owner's: expanded from a wildcard
  std::chrono::seconds ttl;  ///< for which the records and the signature are good
};

class DnssecMessage {
 public:
  /// Nothing when the packet cannot be read.
  static std::optional<DnssecMessage> parse(ByteSpan packet);

  [[nodiscard]] bool says_no_such_name() const;
  /// The set of name and type in the answer section; no records when there is none.
  [[nodiscard]] RecordSet answer(std::string_view name, ldns_rr_type type) const;
  /// All sets of the type, by owner.
  [[nodiscard]] std::vector<RecordSet> answers(ldns_rr_type type) const;
  [[nodiscard]] std::vector<RecordSet> authorities(ldns_rr_type type) const;

 private:
  explicit DnssecMessage(ldns_pkt* packet) : packet_(packet) {}
  PacketHandle packet_;
};

/// The zone that says it signed set and that set may belong to; nothing without such a signature.
[[nodiscard]] std::optional<std::string> signer_of(const RecordSet& set);

/// Checks the signatures of set until one is good (RFC 4035 §5.3). The error says why none is.
[[nodiscard]] Expected<SignedBy, std::string> check_signatures(const RecordSet& set,
                                                               const ZoneKeys& keys, WallTime now,
                                                               DnssecBudget& budget);

}  // namespace relay::net
