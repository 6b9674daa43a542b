// Describes the certificates of a handshake (net/certificate_summary). For relay/net only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "relay/net/certificate_summary.h"
#include "relay/net/clock.h"

struct asn1_string_st;
struct ssl_st;
struct x509_st;
struct x509_store_ctx_st;

namespace relay::net {

/// nullopt: no time.
[[nodiscard]] std::optional<WallTime> to_wall_time(const asn1_string_st* time);

/// The dNSName SANs as written, the first 100.
[[nodiscard]] std::vector<std::string> dns_names_of(const x509_st* certificate);

/// Of a completed handshake.
[[nodiscard]] ChainSummary chain_summary(const ssl_st* ssl);

/// Of a handshake whose certificates are just being verified: also what is then refused.
[[nodiscard]] TlsPeerSummary peer_summary(x509_store_ctx_st* verification);

}  // namespace relay::net
