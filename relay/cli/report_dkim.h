// Who sent a received report, by the DKIM signatures of its mail: RFC 8460 §3 wants one of the
// reporting domain. Pure: the keys come in as answers of DNS.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "relay/cli/output.h"
#include "relay/cli/text_lookup.h"
#include "relay/message/dkim_verifier.h"

namespace relay::cli {

/// What a report came in.
struct ReportCarrier {
  enum class Kind {
    file,       ///< by itself
    mail,       ///< with the claims below
    forwarded,  ///< mail in mail: its octets may have changed
  } kind = Kind::file;
  std::vector<message::DkimClaim> claims;
};

enum class CarrierVerdict {
  not_checked,
  no_mail,
  forwarded,
  unsigned_mail,
  pass,          ///< a signature of the reporting domain, or one above it, is good
  other_domain,  ///< good ones are of other domains only
  fail,          ///< none is good
  unknown,       ///< none is good, and a key could not be looked up
};
/// "not-checked", "no-mail", "forwarded", "unsigned", "pass", "other-domain", "fail", "unknown"
[[nodiscard]] std::string_view name(CarrierVerdict verdict);
/// Whether it is a reason to doubt who sent the report.
[[nodiscard]] bool is_doubtful(CarrierVerdict verdict);

struct SignatureVerdict {
  std::string domain;
  std::string selector;
  std::string algorithm;
  message::DkimVerdict verdict;
};

struct CarrierDkim {
  CarrierVerdict verdict = CarrierVerdict::not_checked;
  std::vector<SignatureVerdict> signatures;

  /// "pass", "fail (body-changed)" …
  [[nodiscard]] std::string text() const;
};

/// The names that the keys are at.
void add_key_names(const ReportCarrier& carrier, std::set<std::string>& names);
/// submitter: the reporting domain. keys: answers for add_key_names().
[[nodiscard]] CarrierDkim judge(const ReportCarrier& carrier, std::string_view submitter,
                                const TextAnswers& keys);

/// {"verdict": …, "signatures": […]}
[[nodiscard]] Json dkim_json(const CarrierDkim& dkim);

/// A mail as a mailbox keeps it, with CRLF line ends, as it was signed.
[[nodiscard]] std::string as_transmitted(std::string_view mail);

}  // namespace relay::cli
