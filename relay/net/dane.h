// TLSA records as values: which of them can be used for SMTP, and what a session is expected to
// match (RFC 6698, RFC 7671, RFC 7672 §3). Pure.
#pragma once

#include <string>
#include <vector>

#include "relay/net/dns_message.h"
#include "relay/net/domain_name.h"

namespace relay::net {

/// Whether SMTP can use the record: DANE-TA(2) or DANE-EE(3) (RFC 7672 §3.1.3), a known selector
/// and matching type, a digest of the right length, or full data that is a certificate or a key.
[[nodiscard]] bool usable(const DnsTlsa& record);

/// Digest algorithm agility (RFC 7671 §9): per usage and selector, of the records with a digest
/// only those with the strongest one; records with full data stay. Keeps the order.
[[nodiscard]] std::vector<DnsTlsa> strongest_digests(std::vector<DnsTlsa> records);

/// Presentation form (RFC 6698 §2.2) with upper-case digits: "3 1 1 0C72AC70…".
[[nodiscard]] std::string text(const DnsTlsa& record);

/// What the certificate of one MX host has to match.
struct DaneExpectation {
  std::vector<DnsTlsa> records;  ///< usable ones only, never empty
  /// The TLSA base domain, then the other names that a DANE-TA certificate may show (RFC 7672
  /// §3.2.2). Never empty.
  std::vector<DomainName> reference_names;

  /// Short stable text, equal for equal expectations whatever the order of their records: part of
  /// the keys of sessions and connections.
  [[nodiscard]] std::string digest() const;
};

}  // namespace relay::net
