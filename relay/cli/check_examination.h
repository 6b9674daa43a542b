// What `stsrelay check` found about one domain, as values, and what follows from it for a message
// that is sent now. Pure.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/delivery/dane.h"
#include "relay/delivery/destination.h"
#include "relay/delivery/session_result.h"
#include "relay/delivery/tls_policy.h"
#include "relay/net/certificate_summary.h"
#include "relay/net/clock.h"
#include "relay/net/socket_address.h"
#include "relay/net/tls_outcome.h"
#include "relay/smtp/client_session.h"
#include "rpt/record.h"
#include "rpt/result.h"
#include "sts/discovery.h"
#include "sts/policy.h"

namespace relay::cli {

enum class Answer { not_asked, found, absent, failed };
[[nodiscard]] std::string_view name(Answer answer);  ///< "not-asked", "found" …

/// The TXT records at a name.
struct TextRecords {
  Answer answer = Answer::not_asked;
  std::vector<std::string> texts;  ///< all of them, also those of other kinds
  std::string failure;             ///< failed only
};

struct MxExamination {
  Answer answer = Answer::not_asked;
  delivery::MxOrigin origin = delivery::MxOrigin::insecure;
  std::vector<delivery::MxHost> hosts;                   ///< by preference
  std::optional<delivery::Undeliverable> undeliverable;  ///< there is no host to try
};

/// U-labels to A-labels, for records and policies.
[[nodiscard]] std::optional<std::string> to_ascii(std::string_view text);

/// What the TXT records at _smtp._tls say.
[[nodiscard]] rpt::Expected<rpt::Record, rpt::RecordFault> report_record(
    const TextRecords& records);

/// One diagnostic of a policy body, by both levels of strictness.
struct Lint {
  std::string code;
  std::size_t line = 0;  ///< from 1; 0: the whole body
  std::string message;
  enum class Weight {
    harmless,  ///< both keep the policy
    strict,    ///< costs the policy for those who read to the letter
    fatal,     ///< costs the policy for everybody
  } weight = Weight::fatal;
};
[[nodiscard]] std::string_view name(Lint::Weight weight);  ///< "harmless", "strict", "fatal"
/// Every diagnostic of body, by line.
[[nodiscard]] std::vector<Lint> lint(std::string_view body, const sts::ToAscii& to_ascii);

/// The body's lines, empty ones too, without their ends.
[[nodiscard]] std::vector<std::string> body_lines(std::string_view body);

struct PolicyExamination {
  enum class Source { none, https, file } source = Source::none;
  std::string where;                        ///< URL or file name
  std::optional<sts::FetchResult> fetch;    ///< https only
  std::optional<net::TlsPeerSummary> peer;  ///< the policy host; absent: showed no certificate
  std::string body;
  std::vector<Lint> lint;
  std::shared_ptr<const sts::CachedPolicy> policy;  ///< that a sender would obey; null: none
  std::optional<sts::DiscoveryFault> fault;         ///< why it could not be had
  std::string hold;  ///< why a message waits until that is known; empty: it does not
};

/// What one connection brought.
struct HostSession {
  net::SocketAddress address;
  std::string connect_failure;          ///< empty: connected
  std::optional<net::TlsOutcome> tls;   ///< absent: it never came to TLS
  std::optional<smtp::SessionEnd> end;  ///< kind quit: it would have taken a message
  std::string server_name, local_ip;
};

struct HostExamination {
  delivery::MxHost host;
  delivery::HostAddresses addresses;
  std::optional<delivery::HostDane> dane;  ///< absent: not looked for
  delivery::HostDecision decision;
  std::string explanation;            ///< of the decision
  std::vector<HostSession> sessions;  ///< one per address; none: not connected to
};

/// What the cache of a running daemon holds.
struct DaemonCache {
  enum class State { not_asked, unreachable, absent, held } state = State::not_asked;
  std::string detail;  ///< unreachable, absent: the sentence
  std::string mode, id, fetched_at, expires_at;
  std::shared_ptr<const sts::CachedPolicy> policy;  ///< held and in force
};
[[nodiscard]] std::string_view name(DaemonCache::State state);

struct Examination {
  std::string domain;            ///< policy domain, empty: only a policy was linted
  std::string recipient_domain;  ///< that was asked about; another one where a route leads on
  net::WallTime at{};
  enum class Connecting { yes, no } connecting = Connecting::yes;
  MxExamination mx;
  TextRecords sts_record, tls_rpt_record;
  PolicyExamination policy;
  std::shared_ptr<const delivery::LocalRule> rule;  ///< the operator's; null: the default
  std::vector<HostExamination> hosts;
  DaemonCache daemon;
};

/// What a session with the host is judged by. One that is ruled out is looked at all the same: it
/// may be the one that is meant.
[[nodiscard]] smtp::TlsRequirement probed_with(const HostExamination& host);

/// What would become of a message at one host, best first.
enum class HostFate {
  verified,       ///< delivered; the session proved who the host is
  unverified,     ///< delivered over TLS, nothing demands proof
  plaintext,      ///< delivered without TLS
  refused,        ///< a policy rules it out
  unreachable,    ///< no session now
  missing,        ///< there is nothing to connect to
  not_connected,  ///< by our own wish
};
[[nodiscard]] std::string_view name(HostFate fate);
[[nodiscard]] HostFate fate_of(const HostExamination& host);
[[nodiscard]] HostFate fate_of(const HostExamination& host, const HostSession& session);

/// Report-only: the rule that would refuse the host if it were enforced, "mx-not-in-policy",
/// "verified-tls-not-met"; empty: none.
[[nodiscard]] std::string unenforced_refusal(const HostExamination& host);

/// What would become of a message to the domain.
struct CheckOutcome {
  enum class Verdict {
    delivered_verified,
    delivered,
    refused,
    undetermined,
    not_connected,
    linted
  };
  Verdict verdict = Verdict::undetermined;
  std::string rule;  ///< refused: "mx-not-in-policy", "5.1.2" …
  std::string host;  ///< that would take it
  std::string text;  ///< one sentence
};
[[nodiscard]] std::string_view name(CheckOutcome::Verdict verdict);
[[nodiscard]] CheckOutcome outcome_of(const Examination& examination);

/// What TLS-RPT would count for the sessions of that delivery (RFC 8460 §4.3).
[[nodiscard]] std::vector<rpt::SessionResult> results_of(const Examination& examination);

/// The parameters of a completed handshake, or null.
[[nodiscard]] const net::TlsParameters* parameters_of(const net::TlsOutcome& outcome);
[[nodiscard]] const net::TlsParameters* parameters_of(const std::optional<net::TlsOutcome>& tls);

}  // namespace relay::cli
