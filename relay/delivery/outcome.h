// What one session brought, and what became of each recipient. Values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "relay/net/clock.h"
#include "relay/net/tls_outcome.h"
#include "relay/smtp/client_session.h"

namespace relay::delivery {

/// No TCP connection came about.
struct ConnectFailed {
  std::string reason;
  /// own: for want of something here, and no word about the peer.
  enum class Cause { peer, own } cause = Cause::peer;
};

/// A session was used, a new one or one from the pool.
struct SessionUsed {
  enum class Origin { opened, reused } origin = Origin::opened;
  enum class Peer { other, self } peer = Peer::other;  ///< self: it greets with our own name
  std::optional<net::TlsOutcome> tls;  ///< absent: ended before TLS was decided, or not wanted
  std::string server_name;             ///< from its EHLO reply
  std::string local_ip;
  /// Absent: the session ended before the transaction began.
  std::optional<smtp::TransactionResult> transaction;
  std::optional<net::WallTime> mail_at{};  ///< when the transaction began
  std::optional<smtp::SessionEnd> end;     ///< absent: the session lives on in the pool
};

using ConversationReport = std::variant<ConnectFailed, SessionUsed>;

enum class Certainty { known, maybe_delivered };
/// Whether another next hop might do better for the recipient: the server's word on it, or on a
/// message that it has read, is the last.
enum class Finality { decided, undecided };

/// What a relay in staging did instead of delivering.
enum class Staged {
  no,
  sinked,
  captured,
  dry_run,
  simulated,  ///< it met with a fault
  held_back,  ///< accepted before staging
};
inline constexpr std::size_t kStagedKinds = 6;
[[nodiscard]] std::string_view name(Staged staged);  ///< "sinked", "dry-run" …; empty for no

/// Whether the next hop took over what NOTIFY asks for (RFC 3461 §5.2.1).
enum class DsnHandover { none, passed_on };

/// What became of one recipient in one attempt.
struct RecipientOutcome {
  enum class Result { delivered, deferred, failed };
  std::uint32_t index = 0;  ///< spool::Recipient::index
  Result result = Result::deferred;
  std::string status;        ///< RFC 3463, "2.0.0"
  std::string text;          ///< the remote reply, or one sentence of ours
  std::string host;          ///< MX host, may be empty
  std::string ip;            ///< its address, may be empty
  std::string remote_reply;  ///< the remote reply alone, empty if there was none
  Certainty certainty = Certainty::known;
  Staged staged = Staged::no;
  Finality finality = Finality::decided;
  DsnHandover dsn = DsnHandover::none;
};

}  // namespace relay::delivery
