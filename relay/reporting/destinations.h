// Where a report goes, by what DNS or the spool says (RFC 8460 §3). Pure.
#pragma once

#include <string>
#include <vector>

#include "relay/net/dns_client.h"
#include "rpt/submission.h"

namespace relay::reporting {

/// What the answer about _smtp._tls.<domain> TXT says.
[[nodiscard]] rpt::RecordAnswer record_answer(const net::DnsResult& result);

/// As they were stored or configured; what cannot be used is left out.
[[nodiscard]] std::vector<rpt::Destination> destinations_of(const std::vector<std::string>& uris);

}  // namespace relay::reporting
