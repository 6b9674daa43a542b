// Proofs that a name or a type does not exist: NSEC (RFC 4035 §5.4) and NSEC3 (RFC 5155 §8), with
// the clarifications of RFC 6840 §4. Pure. For relay/net only.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ldns/ldns.h>

#include "relay/net/clock.h"
#include "relay/net/dnssec_records.h"

namespace relay::net {

enum class Denial {
  none,        ///< nothing is proven
  no_name,     ///< the name does not exist
  no_type,     ///< the name exists without the type
  delegation,  ///< the name is a delegation without DS (only when DS is asked for)
  opt_out,     ///< an unsigned delegation may be there (RFC 5155 §6)
  excess,      ///< too many hash iterations to be worth the work (RFC 9276 §3.2)
};

/// An NSEC record that a zone's key has signed.
struct NsecRange {
  const ldns_rdf* owner;
  const ldns_rdf* next;
  ByteSpan types;
};

/// The same for NSEC3; hashes are raw octets.
struct Nsec3Range {
  std::string owner, next;
  bool opt_out;
  ByteSpan types;
};

/// What the authority section of one message proves on behalf of one zone. Must not outlive the
/// message.
class DenialProofs {
 public:
  DenialProofs(const DnssecMessage& message, const ZoneKeys& keys, WallTime now,
               DnssecBudget& budget);

  /// Whether name has no records of type. name: in the zone.
  [[nodiscard]] Denial of(std::string_view name, ldns_rr_type type) const;
  /// Whether name itself does not exist, so that a wildcard of labels labels below the root stood
  /// in for it (RFC 4035 §5.3.4, RFC 5155 §8.8): no_name, opt_out, excess or none.
  [[nodiscard]] Denial of_exact(std::string_view name, unsigned labels) const;
  /// For which all that was found is good; no time when nothing was found.
  [[nodiscard]] std::chrono::seconds ttl() const { return ttl_.value_or(std::chrono::seconds(0)); }
  /// Why nothing usable was found, for a person.
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  void add_nsec(const RecordSet& set);
  void add_nsec3(const RecordSet& set);
  [[nodiscard]] const NsecRange* nsec_at(const ldns_rdf* name) const;
  [[nodiscard]] const NsecRange* nsec_over(const ldns_rdf* name) const;
  [[nodiscard]] Denial by_nsec(std::string_view name, ldns_rr_type type) const;
  [[nodiscard]] std::string hash(std::string_view name) const;
  [[nodiscard]] const Nsec3Range* nsec3_at(std::string_view name) const;
  [[nodiscard]] const Nsec3Range* nsec3_over(std::string_view name) const;
  [[nodiscard]] Denial by_nsec3(std::string_view name, ldns_rr_type type) const;
  [[nodiscard]] Denial below(std::string_view encloser, std::string_view name,
                             ldns_rr_type type) const;

  std::string zone_;
  std::vector<NsecRange> nsec_;
  std::vector<Nsec3Range> nsec3_;
  unsigned iterations_ = 0;  // of all NSEC3 records: those of the first
  std::string salt_;
  std::optional<std::chrono::seconds> ttl_;
  std::string reason_ = "no proof of absence";
};

}  // namespace relay::net
