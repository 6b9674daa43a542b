// What is spoken over the control socket: one JSON object per line each way, a response per
// request, in order. Requests as values:
//   {"command":"queue list","domain":"example.com","limit":100}
//   {"ok":true,"data":{…}}   {"ok":false,"error":"no message 3KX0 in the queue"}
// Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "relay/control/queue_requests.h"
#include "relay/net/expected.h"
#include "relay/spool/message.h"

namespace relay::control {

inline constexpr std::size_t kMaxRequestLine = 64U << 10;
/// Cached policies by domain.
struct PolicyList {
  std::size_t limit = kDefaultLimit;
  std::string after;  ///< the next of the page before
};
struct PolicyShow {
  std::string domain;
};
/// The overrides in force and those that ended in the last days.
struct OverrideList {};
/// Sets (replaces) the TLS rule of a policy domain, as people write it.
struct OverrideSet {
  std::string domain;  ///< "example.com" or "*.example.com"
  std::string level;
  std::vector<std::string> mx, fingerprints;
  std::string until, reason;
  bool report_only = false;
  std::string by;  ///< filled in by sign(), never by the peer
};
struct OverrideRemove {
  std::string domain;
  std::string by;
};
/// The same policies as PolicyList has, with everything about each.
struct PolicyExport {
  std::size_t limit = kDefaultLimit;
  std::string after;  ///< the next of the page before
};
/// Fetches the domain's policy now.
struct PolicyRefresh {
  std::string domain;
};
/// What the domain's policy replaced.
struct PolicyHistory {
  std::string domain;
};
struct Status {};
/// The TLS result counts of one UTC day.
struct Results {
  std::chrono::sys_days day;
  std::size_t limit = kDefaultLimit;
  std::size_t offset = 0;  ///< the next of the page before
};
/// Reports of closed days, the earliest first.
struct ReportList {
  std::optional<std::chrono::sys_days> day;
  std::string domain;
  bool all = false;  ///< also those that nobody wanted
  std::size_t limit = kDefaultLimit;
  std::string after;  ///< the next of the page before
};
/// What the report of a day would be now; domain "": which domains would have one.
struct ReportPreview {
  std::chrono::sys_days day;
  std::string domain;
};
/// A report as it was made, and its deliveries.
struct ReportShow {
  std::chrono::sys_days day;
  std::string domain;
  std::size_t part = 1;
};
/// Makes what waits due now; domain "": of all domains.
struct ReportSend {
  std::string domain;
};
/// Destinations that get nothing for a while; uri "": lists them.
struct ReportSuppress {
  std::string uri;
  std::string until, reason;
  bool lift = false;
};
/// A mail with a report came back from behind the host that had taken it (RFC 3464).
struct ReportBounced {
  std::string domain;      ///< TLS-Report-Domain of the mail
  std::string message_id;  ///< of the mail, without brackets
  std::string recipient;   ///< that it did not reach; empty: not said
  std::string reason;
};
struct Reload {};
/// What is known of a message, or was traced of a domain: one of them. seconds: for so long from
/// now on their sessions are traced; 0: shows what there is.
struct Trace {
  std::optional<spool::MessageId> id;
  std::string domain;
  std::size_t seconds = 0;
};
inline constexpr std::size_t kLongestTrace = 86400;  // s

using Request =
    std::variant<QueueList, QueueShow, QueueChange, QueuePause, QueueResume, QueueTop, QueueWhy,
                 QueueImportRequest, ClientList, ClientHoldSet, ClientRelease, PolicyList,
                 PolicyShow, PolicyExport, PolicyRefresh, PolicyHistory, OverrideList, OverrideSet,
                 OverrideRemove, Status, Results, ReportList, ReportPreview, ReportShow, ReportSend,
                 ReportSuppress, ReportBounced, Reload, Trace>;

/// One request without its line end. The error is a sentence about what is wrong with it.
[[nodiscard]] Expected<Request, std::string> parse_request(std::string_view line);
/// With its line end.
[[nodiscard]] std::string to_line(const Request& request);

/// Notes in requests that are recorded by whom they were made: "uid:1000".
void sign(Request& request, std::optional<std::uint32_t> uid);

struct Response {
  std::string data = "{}";  ///< a JSON value, if there is no error
  std::string error;        ///< a sentence; empty: the request was carried out
};

[[nodiscard]] Expected<Response, std::string> parse_response(std::string_view line);
/// With its line end.
[[nodiscard]] std::string to_line(const Response& response);

/// Cuts a stream of bytes into lines of bounded length.
class LineBuffer {
 public:
  explicit LineBuffer(std::size_t max_line) : max_line_(max_line) {}
  void receive(std::string_view bytes) { bytes_.append(bytes); }
  /// The next whole line, without LF or CRLF.
  [[nodiscard]] std::optional<std::string> next();
  /// A line is longer than allowed, whether its end has come or not; nothing more can be read.
  [[nodiscard]] bool overflowed() const;
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

 private:
  std::size_t max_line_;
  std::string bytes_;
};

}  // namespace relay::control
