// Where a relay in staging puts mail: its recipients are replaced or marked when it is accepted, so
// that what was accepted in staging never reaches them, whatever the configuration says later.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/staging.h"
#include "relay/spool/message.h"

namespace relay::staging {

/// What a recipient's domain in the spool says of its fate.
enum class Mark {
  none,
  nowhere,  ///< it is dropped, kept as a file, or meets with a fault
  dry_run,  ///< its destination is asked, and gets nothing
};
[[nodiscard]] Mark mark_of(std::string_view domain);
/// The domain in the spool: "[staging:nowhere]", "[staging:dry-run]example.com".
[[nodiscard]] std::string marked(Mark mark, std::string_view domain);
/// Without the mark; empty for what goes nowhere.
[[nodiscard]] std::string true_domain(std::string_view domain);

/// Puts the recipients where they go; those that are redirected become one.
void place(spool::Envelope& envelope, const conf::Staging& staging);
/// A notice of ours as the staging relay sends it: placed, and with its header fields.
void place(spool::Notice& notice, const conf::Staging& staging);

/// Whether mail that was accepted without a mark may be delivered to this address.
[[nodiscard]] bool permits(const conf::Staging& staging, std::string_view address);

/// "X-Stsrelay-Staging: …" and, for each of the addresses as they were given,
/// "X-Stsrelay-Original-To: …"; with CRLF.
[[nodiscard]] std::string header_fields(const conf::Staging& staging,
                                        const std::vector<std::string>& recipients);

/// For people: what this relay does, in a sentence without its full stop.
[[nodiscard]] std::string summary(const conf::Staging& staging);

}  // namespace relay::staging
