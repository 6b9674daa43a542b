// What the certificates that a TLS peer showed say about themselves, for people to read: nothing
// here is a verdict, and the texts are the peer's. Pure values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "relay/net/clock.h"

namespace relay::net {

/// Whether a handshake also describes the peer's certificates. Deliveries do without.
enum class DescribeChain { no, yes };

struct CertificateSummary {
  std::vector<std::string> dns_names;               ///< dNSName SANs as written, the first 100
  std::string subject, issuer;                      ///< RFC 2253: "CN=mx.example.com,O=Example"
  std::optional<WallTime> valid_from, valid_until;  ///< nullopt: unreadable
};

/// As the peer sent it: the leaf first, at most 10.
using ChainSummary = std::vector<CertificateSummary>;

/// A TLS session or the attempt at one.
struct TlsPeerSummary {
  std::string version;  ///< "TLSv1.3"
  std::string cipher;   ///< "TLS_AES_256_GCM_SHA384"
  ChainSummary chain;
};

}  // namespace relay::net
