// What a relay in staging does instead of delivering: redirect, keep, drop, try without delivering,
// or fail as told. Pure.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace conf {

/// What a mail address is to meet with, so that applications can be tested.
struct StagingFault {
  std::string recipient;  ///< a pattern as in matches(), lower case
  /// At our own door, as the answer to RCPT, or as if a destination had answered.
  enum class At { submission, delivery } at = At::submission;
  std::string reply;  ///< "451 4.3.0 Try again later"; empty: none
  std::chrono::milliseconds delay{0};
  enum class Connection { kept, dropped, tls_failed } connection = Connection::kept;
  friend bool operator==(const StagingFault&, const StagingFault&) = default;
};

/// For a relay that must not be taken for a productive one. Off unless named, and announced
/// wherever it can be seen.
struct Staging {
  std::string confirm;                        ///< the configuration's hostname once more
  std::string redirect_to;                    ///< all mail goes there; empty: to its recipients
  std::vector<std::string> allow_recipients;  ///< patterns of those that are not redirected
  bool sink = false;                          ///< nothing leaves
  std::chrono::milliseconds sink_keep{
      std::chrono::minutes(10)};  ///< sinked mail stays in the queue
  std::string capture;       ///< a Maildir for what would leave, and nothing leaves; empty: none
  bool dry_run = false;      ///< everything up to RCPT, and nothing is delivered
  bool soft_bounce = false;  ///< what would fail is tried again
  std::vector<StagingFault> faults;
  std::vector<std::string> only_hosts;  ///< patterns of the next hops that routes may name

  /// Whether no mail at all is to be delivered.
  [[nodiscard]] bool nothing_leaves() const { return sink || dry_run || !capture.empty(); }
  /// The first fault of this place for the address.
  [[nodiscard]] const StagingFault* fault(StagingFault::At at, std::string_view address) const;
  /// "sink", "capture", "redirect", "dry-run", "faults" and "soft-bounce", those that are on.
  [[nodiscard]] std::string modes() const;
  friend bool operator==(const Staging&, const Staging&) = default;
};

/// Whether a lower-case pattern, in which * stands for any text, is all of text, whose case does
/// not matter.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);
[[nodiscard]] bool matches_any(const std::vector<std::string>& patterns, std::string_view text);

/// Whether text is "250 2.1.5 Ok", "451 Try later" …: a reply of one line.
[[nodiscard]] bool is_reply(std::string_view text);

}  // namespace conf
