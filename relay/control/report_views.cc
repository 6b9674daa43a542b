#include "relay/control/report_views.h"

#include "relay/control/timestamp.h"
#include "rpt/gunzip.h"
#include "rpt/report.h"

namespace relay::control {
namespace {

Json time_view(net::WallTime time) {
  return time == net::WallTime{} ? Json() : Json(to_rfc3339(time));
}

Json delivery_view(const spool::ReportDelivery& delivery) {
  const bool waits = !delivery.message && (delivery.stage == rpt::Stage::rendered ||
                                           delivery.stage == rpt::Stage::handed_over);
  return {{"uri", shown_uri(delivery.uri)},
          {"stage", rpt::name(delivery.stage)},
          {"attempts", delivery.attempts},
          {"first_attempt", time_view(delivery.first_attempt)},
          {"next_attempt", waits ? time_view(delivery.next_attempt) : Json()},
          {"result", delivery.result},
          {"message", delivery.message ? Json(delivery.message->text()) : Json()}};
}

/// What became of a rendered report in all; null for others.
Json outcome_view(const spool::StoredReport& report,
                  const std::vector<spool::ReportDelivery>& deliveries) {
  if (report.state != spool::ReportState::rendered) {
    return {};
  }
  std::vector<rpt::Delivery> stages;
  stages.reserve(deliveries.size());
  for (const spool::ReportDelivery& delivery : deliveries) {
    stages.push_back({delivery.stage});
  }
  return rpt::name(rpt::report_state(stages));
}

Json destinations_view(const std::vector<rpt::Destination>& destinations) {
  Json list = Json::array();
  for (const rpt::Destination& destination : destinations) {
    list.push_back(destination.uri);
  }
  return list;
}

}  // namespace

std::string shown_uri(const std::string& uri) {
  const auto destination = rpt::parse_destination(uri);
  return destination ? destination->uri : "unusable";
}

Json report_view(const spool::StoredReport& report,
                 const std::vector<spool::ReportDelivery>& deliveries) {
  Json list = Json::array();
  for (const spool::ReportDelivery& delivery : deliveries) {
    list.push_back(delivery_view(delivery));
  }
  return {{"day", day_text(report.key.day)},
          {"domain", report.key.domain},
          {"part", report.key.part},
          {"state", spool::name(report.state)},
          {"outcome", outcome_view(report, deliveries)},
          {"due", report.state == spool::ReportState::planned ? time_view(report.due) : Json()},
          {"report_id", report.id},
          {"rendered_at", time_view(report.rendered_at)},
          {"note", report.note},
          {"deliveries", std::move(list)}};
}

Json report_details(const spool::StoredReport& report,
                    const std::vector<spool::ReportDelivery>& deliveries) {
  Json json = report_view(report, deliveries);
  json["file_name"] = report.file_name;
  json["summary"] = report.summary;
  const auto text = rpt::gunzip(report.content, {});
  json["json"] = text && !text->octets.empty() ? Json::parse(text->octets, nullptr, false) : Json();
  return json;
}

Json preview_view(const reporting::Preview& preview) {
  return {{"day", day_text(preview.report.day)},
          {"domain", preview.report.domain},
          {"destinations", destinations_view(preview.destinations)},
          {"withheld", preview.withheld},
          {"summary", rpt::summary_text(preview.report)},
          {"json", Json::parse(rpt::to_json(preview.report), nullptr, false)}};
}

Json preview_summary(const reporting::Preview& preview) {
  std::uint64_t successful = 0;
  std::uint64_t failed = 0;
  for (const rpt::PolicySummary& policy : preview.report.policies) {
    successful += policy.successful_sessions;
    failed += policy.failed_sessions;
  }
  return {{"domain", preview.report.domain},
          {"successful_sessions", successful},
          {"failed_sessions", failed},
          {"destinations", destinations_view(preview.destinations)},
          {"withheld", preview.withheld}};
}

Json suppression_view(const spool::ReportSuppression& suppression, net::WallTime now) {
  return {{"uri", shown_uri(suppression.uri)},
          {"until", to_rfc3339(suppression.until)},
          {"over", suppression.until <= now},
          {"why", suppression.why}};
}

}  // namespace relay::control
