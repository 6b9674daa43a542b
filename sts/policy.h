// MTA-STS policies (RFC 8461 §3.2) and matching of MX host names against them (§4.1).
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sts {

enum class Mode { enforce, testing, none };
[[nodiscard]] std::string_view name(Mode mode);  ///< "enforce", "testing", "none"

/// One mx value: a host name or "*." and a name, A-labels, lower case.
class MxPattern {
 public:
  /// Strict grammar of §3.2; nullopt for anything else (IP text, lists, inner wildcards …).
  static std::optional<MxPattern> parse(std::string_view text);
  /// §4.1: equal names, or the wildcard stands for exactly one whole left-most label. host is
  /// compared case-insensitively and without a trailing dot; a name that is no host name (empty
  /// label, "*", IP text) never matches.
  [[nodiscard]] bool matches(std::string_view host) const;
  [[nodiscard]] const std::string& text() const { return text_; }
  friend bool operator==(const MxPattern&, const MxPattern&) = default;

 private:
  explicit MxPattern(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct Policy {
  Mode mode = Mode::none;
  std::chrono::seconds max_age{0};
  std::vector<MxPattern> mx;
  std::string body;  ///< as served, errors included: TLS-RPT quotes it (RFC 8460 §4.4)

  [[nodiscard]] bool covers(std::string_view mx_host) const;
};

/// The body's lines without line ends, as policy-string wants them.
[[nodiscard]] std::vector<std::string> policy_lines(std::string_view body);

enum class Severity { tolerated, fatal };
struct Diagnostic {
  std::string code;      ///< stable: "no-mx", "bad-max-age", "empty-line" …
  std::size_t line = 0;  ///< from 1; 0: the whole body
  std::string message;   ///< a sentence for the domain's owner
  Severity severity = Severity::fatal;
};

/// strict: the ABNF and prose to the letter. tolerant: keeps a policy through faults that leave
/// its meaning beyond doubt (empty line, BOM, trailing dot, one bad mx beside good ones, max_age
/// above one year).
enum class Strictness { strict, tolerant };

struct ParsedPolicy {
  std::optional<Policy> policy;
  std::vector<Diagnostic> diagnostics;  ///< by line; those that cost the policy are fatal
  /// Code of the first fatal diagnostic; for TLS-RPT's failure-reason-code.
  [[nodiscard]] std::string failure_code() const;
};

/// Converts a U-label name to A-labels; nullopt if it is none.
using ToAscii = std::function<std::optional<std::string>(std::string_view)>;

/// Parses a policy body (§3.2). body: at most 64 KiB, LF or CRLF. to_ascii: may be empty, then
/// U-label mx values are bad values.
[[nodiscard]] ParsedPolicy parse_policy(std::string_view body, Strictness strictness,
                                        const ToAscii& to_ascii = {});

}  // namespace sts
