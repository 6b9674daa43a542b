#include "relay/cli/report_views.h"

namespace relay::cli {
namespace {

Json warnings_json(const std::vector<rpt::ReportWarning>& warnings) {
  Json json = Json::array();
  for (const rpt::ReportWarning& warning : warnings) {
    json.push_back(
        {{"code", rpt::name(warning.code)}, {"where", warning.where}, {"note", warning.note}});
  }
  return json;
}

}  // namespace

Json dkim_json(const CarrierDkim& dkim) {
  Json signatures = Json::array();
  for (const SignatureVerdict& each : dkim.signatures) {
    signatures.push_back({{"domain", each.domain},
                          {"selector", each.selector},
                          {"algorithm", each.algorithm},
                          {"result", message::name(each.verdict.result)},
                          {"reason", each.verdict.reason},
                          {"declares_reports", each.verdict.declares_reports}});
  }
  return {{"verdict", name(dkim.verdict)}, {"signatures", std::move(signatures)}};
}

Json reports_as_json(const ReportCollection& collection) {
  Json reports = Json::array();
  for (const CollectedReport& collected : collection.reports()) {
    reports.push_back({{"source", collected.source},
                       {"domain", collected.domain},
                       {"submitter", collected.submitter},
                       {"warnings", warnings_json(collected.warnings)},
                       {"dkim", dkim_json(collected.dkim)},
                       {"report", Json::parse(rpt::normalized_json(collected.report))}});
  }
  Json unreadable = Json::array();
  for (const UnreadableInput& input : collection.unreadable()) {
    unreadable.push_back(
        {{"source", input.source}, {"code", input.code}, {"reason", input.reason}});
  }
  Json duplicates = Json::array();
  for (const DuplicateReport& duplicate : collection.duplicates()) {
    duplicates.push_back({{"source", duplicate.source}, {"of", duplicate.of}});
  }
  return {{"reports", std::move(reports)},
          {"unreadable", std::move(unreadable)},
          {"duplicates", std::move(duplicates)},
          {"other_messages", collection.others()}};
}

}  // namespace relay::cli
