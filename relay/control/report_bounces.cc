// What a bounce of a report that came back as mail means for its destination (RFC 8460 §5.3).
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "relay/control/answers.h"
#include "relay/control/control_actions.h"
#include "relay/control/report_views.h"

namespace relay::control {
namespace {

constexpr std::size_t kReportsOfDomain = 1000;  // there are fewer, of the days that are kept

/// Whether a mail with this Message-ID carries the report: "DAY.HASH.MAIL@SUBMITTER" for the
/// report-id "DAY.HASH@SUBMITTER". Who has not seen the mail cannot guess it.
bool carries(const std::string& message_id, const std::string& report_id) {
  const std::size_t at = report_id.rfind('@');
  return at != std::string::npos && message_id.size() > report_id.size() + 1 &&
         message_id.starts_with(report_id.substr(0, at) + '.') &&
         message_id.ends_with(report_id.substr(at)) && message_id[at] == '.';
}

std::string mailbox_of(const spool::ReportDelivery& delivery) {
  const auto destination = rpt::parse_destination(delivery.uri);
  return destination && destination->scheme == rpt::Scheme::mailto ? lower(destination->mailbox)
                                                                   : std::string();
}

/// The one whose mail did not arrive; the recipient may have been forwarded, but where there is
/// only one mail, it is that one.
std::optional<spool::ReportDelivery> bounced_delivery(std::vector<spool::ReportDelivery> deliveries,
                                                      const std::string& recipient) {
  std::erase_if(deliveries, [](const auto& delivery) { return mailbox_of(delivery).empty(); });
  const auto named = std::ranges::find(deliveries, lower(recipient), mailbox_of);
  if (named != deliveries.end()) {
    return *named;
  }
  return deliveries.size() == 1 ? std::optional(deliveries.front()) : std::nullopt;
}

}  // namespace

void ControlActions::report_bounced(const ReportBounced& request, Respond respond) {
  spool::ReportQuery query;
  query.domain = canonical_domain(request.domain);
  query.limit = kReportsOfDomain;
  const auto reports = reader_.reports(query);
  if (!reports) {
    return respond(refuse(reports.error()));
  }
  const auto report = std::ranges::find_if(
      *reports, [&](const auto& each) { return carries(request.message_id, each.id); });
  if (report == reports->end()) {
    return respond(refuse(
        fmt::format("no mail <{}> about {} is known: it was not sent by this relay, or long ago",
                    request.message_id, query.domain)));
  }
  auto deliveries = reader_.report_deliveries(report->key);
  if (!deliveries) {
    return respond(refuse(deliveries.error()));
  }
  auto delivery = bounced_delivery(std::move(*deliveries), request.recipient);
  if (!delivery) {
    return respond(refuse(
        fmt::format("\"{}\" is none of the addresses that the report about {} for {} went to",
                    request.recipient, query.domain, spool::day_text(report->key.day))));
  }
  if (delivery->message) {
    return respond(refuse(fmt::format("the mail to {} is still in the queue, as {}",
                                      shown_uri(delivery->uri), delivery->message->text())));
  }
  delivery->stage = rpt::Stage::refused;
  delivery->result = "bounced: " + (request.reason.empty() ? "no reason given" : request.reason);
  const spool::ReportSuppression suppression{
      delivery->uri, clock_.wall() + spool::kReportSuppression, delivery->result};
  spool::ReportWrite write;
  write.deliveries.push_back(*delivery);
  write.suppressions.push_back(suppression);
  Json view = suppression_view(suppression, clock_.wall());
  view["domain"] = report->key.domain;
  view["day"] = spool::day_text(report->key.day);
  daemon_.change_reports(std::move(write), [respond = std::move(respond), view = std::move(view)](
                                               const spool::Stored<void>& stored) {
    respond(stored ? answer(view) : refuse(stored.error()));
  });
}

}  // namespace relay::control
