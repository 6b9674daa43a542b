// From the facts of one SMTP session to what TLS-RPT counts (RFC 8460 §4.3, RFC 8461 §6). Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/delivery/dane.h"
#include "relay/delivery/tls_policy.h"
#include "relay/net/clock.h"
#include "relay/net/tls_outcome.h"
#include "rpt/result.h"
#include "sts/discovery.h"

namespace relay::delivery {

/// What DANE said about one MX host (RFC 7672).
struct DaneEvaluation {
  enum class Verdict {
    matched,              ///< the certificate matches a record, and what that record asks for
    no_match,             ///< no usable record matches
    chain_faults,         ///< a DANE-TA record matches; the TLS outcome names what else is wrong
    no_usable_record,     ///< secure records exist, none of them can be used
    lookup_failed,        ///< whether there are records could not be learned
    required_but_absent,  ///< a local rule demands DANE, the host has no secure records
  };
  Verdict verdict = Verdict::matched;
  std::string base_domain;           ///< TLSA base domain
  std::vector<std::string> records;  ///< "3 1 1 HEX"
};

struct SessionFacts {
  enum class Connection { opened, reused, plaintext_retry };
  enum class Carried { mail, report };

  std::string report_domain;  ///< policy domain: the recipient domain or the route's name
  net::WallTime ended_at{};
  std::string mx_host;
  std::string sending_ip, receiving_ip;  ///< empty: no connection
  std::string server_name;               ///< as announced in the EHLO reply; may be all of it
  Connection connection = Connection::opened;
  Carried carried = Carried::mail;

  /// The STS policy that the host was judged by, also where DANE decided; null: none.
  std::shared_ptr<const sts::CachedPolicy> policy;
  std::optional<sts::DiscoveryFault> policy_fault;
  Coverage coverage = Coverage::no_policy;
  std::optional<DaneEvaluation> dane;  ///< absent: the host has no TLSA records
  /// Absent: the session never came to TLS, or there was none because the host was refused.
  std::optional<net::TlsOutcome> tls;
};

/// What a session, or its absence, made of what DNS says about DANE. nullopt: nothing to report.
/// why: the refusal of the host, if it was refused.
[[nodiscard]] std::optional<DaneEvaluation> evaluate(const HostDane& dane, Refusal why,
                                                     std::string_view mx_host,
                                                     const std::optional<net::TlsOutcome>& tls);

/// The parameters of a completed handshake, or null.
[[nodiscard]] const net::TlsParameters* parameters_of(const net::TlsOutcome& outcome);

/// Why a session with this outcome does not meet what was required, for a person, with the codes
/// that TLS-RPT uses.
[[nodiscard]] std::string tls_complaint(const net::TlsOutcome& outcome,
                                        const smtp::TlsRequirement& required);

/// The result to count. nullopt: there was no TLS session, as after a refused connection or a 421
/// greeting; or it is counted already (reused, plaintext after a failed handshake); or it is not
/// to be counted because it carried a report (RFC 8460 §3). A host that policy ruled out before
/// any connection, and a policy that could not be had, count as one failed session without
/// addresses (RFC 8460 §4.3.2).
[[nodiscard]] std::optional<rpt::SessionResult> session_result(const SessionFacts& facts);

}  // namespace relay::delivery
