// DKIM signatures (RFC 6376): rsa-sha256 and ed25519-sha256 (RFC 8463), relaxed/relaxed, with t=
// and without l=, x= and z=. Pure; equal input gives equal octets.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relay/message/date_time.h"
#include "relay/message/dkim_key.h"

namespace relay::message {

/// A header field to sign: every one of that name that the message has.
struct DkimField {
  /// Whether a field of that name may be added on the way. Where not, h= names it once more than
  /// there are fields (RFC 6376 §8.15).
  enum class Addition { refused, allowed };

  std::string name;
  Addition addition = Addition::refused;
};

/// For TLS reports: what RFC 6376 §5.4.1 and RFC 8460 §5.3 want signed, and what makes the message
/// a report. None may be added.
[[nodiscard]] std::vector<DkimField> dkim_report_fields();

/// For mail that is passed on: what a reader sees or that says how to show it. Of these, none may
/// be added; References and the like may.
[[nodiscard]] std::vector<DkimField> dkim_mail_fields();

struct DkimSigner {
  std::string domain;    ///< d=, A-labels
  std::string selector;  ///< s=
  DkimKey key;
  std::vector<DkimField> fields = dkim_report_fields();  ///< From is signed in any case
};

/// message: complete, with CRLF line ends, and with nothing left to be changed in it. Returns the
/// DKIM-Signature field, folded, with CRLF at its end, to be put before the message.
[[nodiscard]] std::string sign(const DkimSigner& with, std::string_view message, Time now);
/// One field for each, in the same order; none of them signs another.
[[nodiscard]] std::string sign(std::span<const DkimSigner> with, std::string_view message,
                               Time now);

/// The same for a message that is not at hand as a whole. header: without the empty line behind it;
/// body_hash: SHA-256 of the relaxed body, 32 octets.
[[nodiscard]] std::string sign_header(std::span<const DkimSigner> with, std::string_view header,
                                      std::string_view body_hash, Time now);

}  // namespace relay::message
