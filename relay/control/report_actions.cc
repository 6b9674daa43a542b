// The control actions about reports.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "conf/tls_rules.h"
#include "relay/control/answers.h"
#include "relay/control/control_actions.h"
#include "relay/control/report_views.h"
#include "relay/control/timestamp.h"
#include "rpt/record.h"

namespace relay::control {
namespace {

constexpr std::size_t kReportsRead = 250;     // reports read at once
constexpr std::size_t kPreviewed = 1000;      // domains of a day
constexpr std::chrono::days kSuppressed{30};  // unless until is given

/// "2026-08-20 1 example.com"; a part is one digit.
std::string text_of(const spool::ReportKey& key) {
  return fmt::format("{} {} {}", spool::day_text(key.day), key.part, key.domain);
}

std::optional<spool::ReportKey> parse_key(const std::string& text) {
  const auto day = parse_day(text.substr(0, 10));
  return day && text.size() > 13
             ? std::optional(spool::ReportKey{*day, text.substr(13), text[11] - '0'})
             : std::nullopt;
}

/// A destination as it is stored: "mailto:a@b.example"; a plain address is taken for one.
std::optional<std::string> stored_uri(const std::string& given) {
  const bool address = given.find(':') == std::string::npos && given.find('@') != std::string::npos;
  const auto destination = rpt::parse_destination(address ? "mailto:" + given : given);
  return destination ? std::optional(rpt::uri_with_credentials(*destination)) : std::nullopt;
}

}  // namespace

Response ControlActions::list_reports(const ReportList& request) {
  spool::ReportQuery query;
  query.day = request.day;
  query.domain = request.domain.empty() ? "" : canonical_domain(request.domain);
  query.after = parse_key(request.after);
  query.limit = kReportsRead;
  Page page(request.limit);
  while (true) {
    const auto reports = reader_.reports(query);
    if (!reports) {
      return refuse(reports.error());
    }
    for (const spool::StoredReport& report : *reports) {
      const bool shown = request.all || report.state != spool::ReportState::withdrawn;
      if (shown && page.full()) {
        return page.respond("reports", text_of(*query.after));
      }
      if (shown) {
        const auto deliveries = reader_.report_deliveries(report.key);
        if (!deliveries) {
          return refuse(deliveries.error());
        }
        page.add(report_view(report, *deliveries));
      }
      query.after = report.key;
    }
    if (reports->size() < kReportsRead) {
      return page.respond("reports", nullptr);
    }
  }
}

Response ControlActions::preview_report(const ReportPreview& request) const {
  const spool::ReportKey key{request.day, canonical_domain(request.domain)};
  const auto preview = daemon_.preview_report(key);
  if (!preview) {
    return refuse(preview.error());
  }
  return *preview ? answer(preview_view(**preview))
                  : refuse(fmt::format("no session of {} was counted on {} (UTC)", key.domain,
                                       spool::day_text(key.day)));
}

Response ControlActions::preview_reports(std::chrono::sys_days day) {
  const auto tally = reader_.tally(day);
  if (!tally) {
    return refuse(tally.error());
  }
  std::set<std::string> domains;
  for (const auto& [key, counts] : tally->counts()) {
    domains.insert(key.first);
  }
  Json list = Json::array();
  for (const std::string& domain : domains) {
    if (list.size() >= kPreviewed) {
      break;
    }
    const auto preview = daemon_.preview_report({day, domain});
    if (!preview) {
      return refuse(preview.error());
    }
    if (*preview) {
      list.push_back(preview_summary(**preview));
    }
  }
  return answer(Json{
      {"day", spool::day_text(day)}, {"domains", domains.size()}, {"previews", std::move(list)}});
}

Response ControlActions::show_report(const ReportShow& request) {
  const spool::ReportKey key{request.day, canonical_domain(request.domain),
                             static_cast<int>(request.part)};
  const auto report = reader_.report(key);
  const auto deliveries = reader_.report_deliveries(key);
  if (!report || !deliveries) {
    return refuse(report ? deliveries.error() : report.error());
  }
  if (!*report) {
    return refuse(
        fmt::format("there is no {}report of {} for {}; `stsrelay report preview {} --day "
                    "{}` shows what it would be",
                    key.part > 1 ? fmt::format("part {} of the ", key.part) : "", key.domain,
                    spool::day_text(key.day), key.domain, spool::day_text(key.day)));
  }
  return answer(report_details(**report, *deliveries));
}

void ControlActions::send_reports(const ReportSend& request, Respond respond) {
  const std::string domain = request.domain.empty() ? "" : canonical_domain(request.domain);
  spool::ReportWrite write;
  write.hasten = spool::HastenReports{domain, clock_.wall()};
  daemon_.change_reports(
      std::move(write), [respond = std::move(respond), domain](const spool::Stored<void>& stored) {
        respond(stored ? answer(Json{{"due_now", domain.empty() ? "all" : domain}})
                       : refuse(stored.error()));
      });
}

Response ControlActions::list_suppressions() {
  const auto suppressions = reader_.report_suppressions();
  if (!suppressions) {
    return refuse(suppressions.error());
  }
  Json list = Json::array();
  for (const spool::ReportSuppression& suppression : *suppressions) {
    list.push_back(suppression_view(suppression, clock_.wall()));
  }
  return answer(Json{{"suppressions", std::move(list)}});
}

void ControlActions::suppress_reports(const ReportSuppress& request, Respond respond) {
  if (request.uri.empty()) {
    return respond(list_suppressions());
  }
  const auto uri = stored_uri(request.uri);
  const auto until = request.until.empty() ? std::optional(clock_.wall() + kSuppressed)
                                           : conf::parse_moment(request.until);
  if (!uri) {
    return respond(refuse(fmt::format(
        "\"{}\" is no destination; write tls@example.com, mailto:tls@example.com or https://…",
        request.uri)));
  }
  if (!until) {
    return respond(refuse(fmt::format("\"{}\" {}", request.until, conf::kNoMoment)));
  }
  spool::ReportWrite write;
  Json view;
  if (request.lift) {
    write.lifted.push_back(*uri);
    view = Json{{"lifted", shown_uri(*uri)}};
  } else {
    const std::string why = request.reason.empty() ? "by the operator" : request.reason;
    write.suppressions.push_back({*uri, *until, why});
    view = suppression_view(write.suppressions.front(), clock_.wall());
  }
  daemon_.change_reports(std::move(write),
                         [respond = std::move(respond), view](const spool::Stored<void>& stored) {
                           respond(stored ? answer(view) : refuse(stored.error()));
                         });
}

}  // namespace relay::control
