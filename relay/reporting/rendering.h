// From a day's counts to the octets of a report and the mail that carries it. Pure: equal input
// gives equal octets.
#pragma once

#include <string>
#include <vector>

#include "relay/net/clock.h"
#include "relay/reporting/report_settings.h"
#include "relay/spool/report.h"
#include "rpt/record.h"
#include "rpt/report.h"
#include "rpt/tally.h"

namespace relay::reporting {

/// The report about a domain's day as the operator wants it. tally: what this part of it says;
/// destinations: who will get it.
[[nodiscard]] rpt::Report make_report(const rpt::Tally& tally, const spool::ReportKey& key,
                                      const std::vector<rpt::Destination>& destinations,
                                      const ReportSettings& settings);

/// Why the operator does not want it sent; empty: nothing speaks against it.
[[nodiscard]] std::string withheld(const rpt::Report& report, const ReportSettings& settings);

/// The report, rendered at a moment, ready to be stored.
[[nodiscard]] spool::StoredReport rendered(const rpt::Report& report, const spool::ReportKey& key,
                                           net::WallTime now);

/// What a mail of a report needs beside it.
struct MailFacts {
  spool::MessageId id;  ///< of the mail in the queue
  net::WallTime now{};
  std::string mailbox;  ///< whom it goes to
};
/// The signed mail that carries a rendered report (RFC 8460 §5.3); TLS policy is waived for it. It
/// is tried for 24 hours (§5.5).
[[nodiscard]] spool::Notice report_mail(const spool::StoredReport& report, const MailFacts& facts,
                                        const ReportSettings& settings);

}  // namespace relay::reporting
