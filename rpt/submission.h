// How a report reaches its destinations (RFC 8460 §3, §5.3 to §5.5): when, where to, what an answer
// means, when to try again. Pure; time and chance come in as arguments.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "rpt/record.h"

namespace rpt {

/// Where the first tries lie, counted from the end of the day reported.
struct SendingWindow {
  std::chrono::seconds opens = std::chrono::minutes{10};
  std::chrono::seconds closes = std::chrono::hours{4};
};
/// A moment in the window: the same on every run for the same domain and key, spread evenly over
/// domains (§4.1). key: a secret or name of this sender, so that senders differ.
[[nodiscard]] std::chrono::sys_seconds first_try(std::chrono::sys_days day, std::string_view domain,
                                                 std::string_view key, const SendingWindow& window);

/// The record could not be asked for: SERVFAIL, timeout. Not the same as "no record".
struct LookupFailed {};
/// What _smtp._tls.<domain> says now.
using RecordAnswer = std::variant<Record, RecordFault, LookupFailed>;

/// Send to these, in this order.
struct Deliver {
  std::vector<Destination> destinations;  ///< never empty
};
/// Nobody is to have the report. why: "record-absent", "record-several", "record-malformed",
/// "no-usable-destination", "lookup-failed".
struct Withdrawn {
  std::string why;
};
/// It is not known whom to send to; ask again then.
struct Later {
  std::chrono::sys_seconds at;
};
using Plan = std::variant<Deliver, Withdrawn, Later>;

struct Planning {
  std::chrono::sys_days day;  ///< the day reported
  std::chrono::sys_seconds now;
};
/// stored: those of the record in force when the sessions happened; empty if it could not be asked
/// for. The newer record wins; where it vanished nothing is sent; where it cannot be asked for,
/// stored is used, and without one it is asked for again until 48 h after the end of the day.
[[nodiscard]] Plan plan(const std::vector<Destination>& stored, const RecordAnswer& answer,
                        const Planning& planning);

enum class HttpVerdict { accepted, retry, permanent };
/// 2xx: accepted; 408, 425, 429, 5xx: retry; what is no final HTTP status: retry; else permanent.
[[nodiscard]] HttpVerdict judge_http(int status);
/// Retry-After (RFC 9110 §10.2.3): seconds or an IMF-fixdate. nullopt for anything else.
[[nodiscard]] std::optional<std::chrono::seconds> parse_retry_after(std::string_view value,
                                                                    std::chrono::sys_seconds now);

struct Retry {
  std::chrono::sys_seconds first_attempt;
  int attempts = 1;  ///< made so far
  std::chrono::sys_seconds now;
  std::optional<std::chrono::seconds> retry_after;  ///< what the server asked for
  double jitter = 0;                                ///< in [0, 1): up to a quarter longer
};
/// 5 min after the first attempt, then twice as long each time up to 4 h, never before Retry-After;
/// the last one 24 h after the first attempt (§5.5). nullopt: those are over.
[[nodiscard]] std::optional<std::chrono::sys_seconds> next_try(const Retry& retry);

/// A stage is stored before what follows from it is done.
enum class Stage {
  planned,      ///< destination known
  rendered,     ///< octets fixed
  handed_over,  ///< an attempt was begun
  accepted,
  refused,  ///< given up: the destination does not want it
  expired,  ///< given up: 24 h are over
};
[[nodiscard]] std::string_view name(Stage stage);  ///< "planned", "handed-over" …
[[nodiscard]] std::optional<Stage> parse_stage(std::string_view name);

struct Delivery {
  Stage stage = Stage::planned;
  int attempts = 0;
  std::chrono::sys_seconds first_attempt{};  ///< epoch: none yet
  std::chrono::sys_seconds next_attempt{};   ///< of no meaning once accepted, refused or expired
};
/// An attempt begins. What it leaves behind is due again at once: after a crash nobody knows how
/// the attempt ended, and a resend is byte-identical.
[[nodiscard]] Delivery attempted(Delivery delivery, std::chrono::sys_seconds now);
struct Answer {
  HttpVerdict verdict = HttpVerdict::retry;
  std::chrono::sys_seconds now;
  std::optional<std::chrono::seconds> retry_after;
  double jitter = 0;
};
[[nodiscard]] Delivery answered(Delivery delivery, const Answer& answer);

enum class ReportState {
  pending,    ///< none has accepted it, one may yet
  delivered,  ///< one has accepted it (§3); others may still be tried
  given_up,   ///< none has, none will
};
[[nodiscard]] std::string_view name(ReportState state);
[[nodiscard]] ReportState report_state(std::span<const Delivery> deliveries);

}  // namespace rpt
