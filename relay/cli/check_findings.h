// What an examination means to the domain's owner: each fault with its code, its weight, where it
// is, and the remedy. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relay/cli/check_examination.h"

namespace relay::cli {

struct CheckFinding {
  enum class Severity {
    note,     ///< worth knowing; nothing to mend
    warning,  ///< mail flows, but less safely than it could
    error,    ///< refuses mail, or costs the domain its protection
  } severity = Severity::note;
  std::string code;    ///< stable: "mx-not-in-policy", "certificate-expired" …
  std::string where;   ///< "policy line 3", an MX host, a name in DNS
  std::string text;    ///< what is the matter
  std::string remedy;  ///< one sentence
};
[[nodiscard]] std::string_view name(CheckFinding::Severity severity);

/// The faults of an examination in the order of its parts: MX, record, policy, hosts, reports.
[[nodiscard]] std::vector<CheckFinding> findings_of(const Examination& examination);
/// Those of a policy body alone.
[[nodiscard]] std::vector<CheckFinding> findings_of(const std::vector<Lint>& lint);

/// What to do about a fault, in one sentence. code: of a CheckFinding, or the reason of a failed
/// fetch ("http-404", "timeout"); empty: nothing is known.
[[nodiscard]] std::string_view remedy(std::string_view code);

inline constexpr int kCheckGood = 0;
inline constexpr int kCheckFindings = 1;
inline constexpr int kCheckRefused = 2;
inline constexpr int kCheckUndetermined = 3;
[[nodiscard]] int check_exit_code(const CheckOutcome& outcome,
                                  const std::vector<CheckFinding>& findings);

}  // namespace relay::cli
