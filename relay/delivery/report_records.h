// Who wants TLS reports, asked when a day's first session of a report domain ends (RFC 8460 §3):
// what is in force at that moment is what counts if DNS cannot be asked when the report is made.
// Threading: one loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "relay/net/dns_client.h"
#include "relay/net/event_loop.h"
#include "relay/net/operation.h"
#include "relay/spool/spool.h"
#include "rpt/result.h"

namespace relay::delivery {

class ReportRecords {
 public:
  ReportRecords(net::EventLoop& loop, net::DnsClient& dns, spool::Spool& spool)
      : loop_(loop), dns_(dns), spool_(spool) {}
  ReportRecords(const ReportRecords&) = delete;
  ReportRecords& operator=(const ReportRecords&) = delete;
  ~ReportRecords() = default;

  /// Sessions that are being counted. A question that fails is asked again with a later session.
  void counted(const std::vector<rpt::SessionResult>& sessions);

 private:
  void ask(const spool::ReportKey& key);
  void answered(const spool::ReportKey& key, const net::DnsResult& answer);

  net::EventLoop& loop_;
  net::DnsClient& dns_;
  spool::Spool& spool_;
  std::chrono::sys_days day_{};  ///< the latest one
  std::set<std::string> known_;  ///< answered on that day
  std::map<spool::ReportKey, net::Operation> questions_;
};

}  // namespace relay::delivery
