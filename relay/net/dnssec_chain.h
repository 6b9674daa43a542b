// The links of a chain of trust: anchors, DS records and keys (RFC 4035 §5, RFC 4509, RFC 6840
// §5.2). Pure.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "relay/net/clock.h"
#include "relay/net/expected.h"

struct ldns_struct_rr;

namespace relay::net {

class DnssecMessage;
class ZoneKeys;

/// DS records of one zone.
using DelegationSigners = std::shared_ptr<const std::vector<std::shared_ptr<ldns_struct_rr>>>;

/// The keys that trust begins with, by zone; normally the root's.
class DnssecAnchors {
 public:
  /// DS and DNSKEY records in presentation form, one a line, ";" begins a comment, as in Debian's
  /// /usr/share/dns/root.key. The error names the line; a text without any record is one.
  static Expected<DnssecAnchors, std::string> parse(std::string_view text);

  /// The zone of the anchor next to name, at or above it; empty: there is none.
  [[nodiscard]] std::string zone_for(std::string_view name) const;
  /// zone: as zone_for() gave it.
  [[nodiscard]] DelegationSigners of(const std::string& zone) const;

 private:
  std::map<std::string, DelegationSigners> by_zone_;
};

/// Keys that were checked, and for how long they are good.
struct CheckedKeys {
  std::shared_ptr<const ZoneKeys> keys;
  std::chrono::seconds ttl;
};

/// Checks the response to "zone DNSKEY" by the zone's DS records. The error says what is wrong.
[[nodiscard]] Expected<CheckedKeys, std::string> check_keys(const DnssecMessage& message,
                                                            const std::string& zone,
                                                            const DelegationSigners& signers,
                                                            WallTime now);

/// A signed zone begins at the name.
struct DelegationSigned {
  DelegationSigners signers;
  std::chrono::seconds ttl;
};
/// A zone begins there, or may begin there, that nothing vouches for.
struct DelegationUnsigned {
  std::chrono::seconds ttl;
};
/// The name is in its parent's zone.
struct NoDelegation {
  std::chrono::seconds ttl;
};
/// The name does not exist, nor does any below it.
struct NothingBelow {
  std::chrono::seconds ttl;
};
using Delegation = std::variant<DelegationSigned, DelegationUnsigned, NoDelegation, NothingBelow>;

/// Checks the response to "child DS" by the keys of the zone above. The error says what is wrong.
[[nodiscard]] Expected<Delegation, std::string> check_delegation(const DnssecMessage& message,
                                                                 const std::string& child,
                                                                 const ZoneKeys& parent,
                                                                 WallTime now);

}  // namespace relay::net
