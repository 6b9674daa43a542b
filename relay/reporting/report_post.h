// Hands one report over by HTTPS (RFC 8460 §5.4): looks the host up, refuses addresses that are not
// public, posts, follows a few redirects to https. Threading: one loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "relay/net/dns_client.h"
#include "relay/net/https_client.h"
#include "relay/net/operation.h"
#include "relay/reporting/report_settings.h"
#include "rpt/record.h"
#include "rpt/submission.h"

namespace relay::reporting {

struct PostOutcome {
  rpt::HttpVerdict verdict = rpt::HttpVerdict::retry;
  std::string result;       ///< "201", "503", "connection-refused", "address-refused" …
  std::string retry_after;  ///< as sent
};

class ReportPoster {
 public:
  using Done = std::function<void(PostOutcome)>;
  ReportPoster(net::DnsClient& dns, net::HttpsClient& https) : dns_(dns), https_(https) {}

  /// content: gzip of the JSON.
  net::Operation post(const rpt::Destination& destination, const std::string& content,
                      ReportSettings::PrivateAddresses private_addresses, Done done);

 private:
  class Task;
  net::DnsClient& dns_;
  net::HttpsClient& https_;
};

}  // namespace relay::reporting
