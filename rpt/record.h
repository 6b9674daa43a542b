// The TXT record at _smtp._tls.<policy domain> (RFC 8460 §3): where a domain wants its reports.
// Pure; what comes out is safe to use in an SMTP command, a header field and a request line.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rpt/expected.h"

namespace rpt {

/// Converts a U-label name to A-labels; nullopt if it is none.
using ToAscii = std::function<std::optional<std::string>(std::string_view)>;

enum class Scheme { mailto, https };

/// One usable rua destination, normalised, so that equal ones compare equal.
struct Destination {
  Scheme scheme = Scheme::mailto;
  std::string uri;      ///< "mailto:a@x.example", "https://r.example/v1"; without credentials
  std::string mailbox;  ///< mailto: as in RCPT TO, "a@x.example"; domain in lower-case A-labels
  std::string host;     ///< https: lower-case A-labels, never an IP address
  std::uint16_t port = 443;
  std::string path;      ///< https: path and query, at least "/"
  std::string userinfo;  ///< https: decoded "user:password" for Basic; secret, never to be logged
  // NOLINTNEXTLINE(modernize-use-nullptr): the zero is that of the generated comparison
  friend auto operator<=>(const Destination&, const Destination&) = default;
};

/// The URI with its credentials, which parse_destination() reads back to the same Destination:
/// what a store keeps, never what a log shows.
[[nodiscard]] std::string uri_with_credentials(const Destination& destination);

/// A URI that is not used. reason: a stable word, see parse_destination(), or "too-many".
struct SkippedUri {
  std::string uri;  ///< as published, but cut, without credentials, and printable ASCII
  std::string reason;
};

struct Record {
  std::vector<Destination> destinations;  ///< in published order, each URI once; may be empty
  std::vector<SkippedUri> skipped;        ///< at most kMaxSkipped
};

inline constexpr std::size_t kMaxDestinations = 10;
inline constexpr std::size_t kMaxSkipped = 20;
inline constexpr std::size_t kMaxUri = 2048;

/// Why a set of TXT records asks for no reports.
enum class RecordFault {
  absent,     ///< none of them begins with "v=TLSRPTv1;"
  several,    ///< more than one does, whatever their state
  malformed,  ///< the one that does breaks the grammar or has no rua
};
/// A stable word: "absent", "several", "malformed".
[[nodiscard]] std::string_view name(RecordFault fault);

/// Picks and parses the record of an RRset. records: one string per RR, its character-strings
/// joined with nothing between them. to_ascii: may be empty, then U-labels are bad domains. A URI
/// that cannot be used costs only itself; a record without a usable one is a Record without
/// destinations.
[[nodiscard]] Expected<Record, RecordFault> parse_records(std::span<const std::string> records,
                                                          const ToAscii& to_ascii = {});

/// One URI: from a record, written by an operator, or read back from a store. The error is a stable
/// word: "empty", "too-long", "bad-character", "bad-escape", "no-scheme", "unsupported-scheme",
/// "plain-http", "bad-mailbox", "several-recipients", "bad-domain", "ip-address", "bad-port" or
/// "bad-credentials".
[[nodiscard]] Expected<Destination, std::string> parse_destination(std::string_view uri,
                                                                   const ToAscii& to_ascii = {});

}  // namespace rpt
