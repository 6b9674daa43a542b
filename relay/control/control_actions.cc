#include "relay/control/control_actions.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "relay/control/answers.h"
#include "relay/control/overrides.h"
#include "relay/control/views.h"
#include "relay/net/domain_name.h"

namespace relay::control {

void ControlActions::execute(const Request& request, Respond respond) {
  struct Visitor {
    ControlActions& actions;
    Respond respond;

    void operator()(const QueueList& list) { respond(actions.list_queue(list)); }
    void operator()(const QueueShow& show) { respond(actions.show_message(show.id)); }
    void operator()(const QueueChange& change) { actions.change_queue(change, std::move(respond)); }
    void operator()(const QueuePause& pause) { actions.pause(pause, std::move(respond)); }
    void operator()(const QueueResume& resume) { actions.resume(resume, std::move(respond)); }
    void operator()(const ClientList& list) const { respond(actions.list_clients(list)); }
    void operator()(const ClientHoldSet& hold) { actions.hold_client(hold, std::move(respond)); }
    void operator()(const ClientRelease& release) {
      actions.release_client(release, std::move(respond));
    }
    void operator()(const QueueTop& top) { respond(actions.top(top)); }
    void operator()(const QueueWhy& why) { actions.why(why.id, std::move(respond)); }
    void operator()(const QueueImportRequest& /*request*/) {
      actions.import_queue(std::move(respond));
    }
    void operator()(const PolicyList& list) { respond(actions.list_policies(list)); }
    void operator()(const OverrideList& /*list*/) { respond(actions.list_overrides()); }
    void operator()(const OverrideSet& set) { actions.set_override(set, std::move(respond)); }
    void operator()(const OverrideRemove& remove) {
      actions.remove_override(remove, std::move(respond));
    }
    void operator()(const PolicyShow& show) {
      actions.show_policy(show.domain, std::move(respond));
    }
    void operator()(const PolicyExport& wanted) { respond(actions.export_policies(wanted)); }
    void operator()(const PolicyRefresh& refresh) {
      actions.refresh_policy(refresh.domain, std::move(respond));
    }
    void operator()(const PolicyHistory& wanted) { respond(actions.policy_history(wanted.domain)); }
    void operator()(const Status& /*status*/) { respond(actions.status()); }
    void operator()(const Results& results) { respond(actions.results(results)); }
    void operator()(const ReportList& list) { respond(actions.list_reports(list)); }
    void operator()(const ReportPreview& wanted) {
      respond(wanted.domain.empty() ? actions.preview_reports(wanted.day)
                                    : actions.preview_report(wanted));
    }
    void operator()(const ReportShow& wanted) { respond(actions.show_report(wanted)); }
    void operator()(const ReportSend& send) { actions.send_reports(send, std::move(respond)); }
    void operator()(const ReportSuppress& suppress) {
      actions.suppress_reports(suppress, std::move(respond));
    }
    void operator()(const ReportBounced& bounced) {
      actions.report_bounced(bounced, std::move(respond));
    }
    void operator()(const Reload& /*reload*/) const { respond(actions.reload()); }
    void operator()(const Trace& trace) { respond(actions.trace(trace)); }
  };
  std::visit(Visitor{*this, std::move(respond)}, request);
}

Response ControlActions::trace(Trace request) {
  request.domain = request.domain.empty() ? "" : canonical_domain(request.domain);
  if (request.seconds > 0) {
    daemon_.start_trace(request);
    return answer(Json{{"started", true}});
  }
  Json json{{"lines", Json::array()}, {"message", nullptr}};
  for (const std::string& line : daemon_.remembered(request)) {
    json["lines"].push_back(Json::parse(line, nullptr, false));
  }
  if (request.id) {
    const auto envelope = reader_.envelope(*request.id, "");
    if (!envelope) {
      return refuse(envelope.error());
    }
    if (*envelope) {
      json["message"] = message_details(**envelope);
    }
  }
  return answer(json);
}

Response ControlActions::list_overrides() {
  const auto rules = reader_.overrides();
  if (!rules) {
    return refuse(rules.error());
  }
  Json list = Json::array();
  for (const spool::PolicyOverride& rule : *rules) {
    list.push_back(override_view(rule, clock_.wall()));
  }
  return answer(Json{{"overrides", std::move(list)}});
}

void ControlActions::set_override(const OverrideSet& request, Respond respond) const {
  auto rule = to_override(request, clock_.wall());
  if (!rule) {
    respond(refuse(rule.error()));
    return;
  }
  const Json view = override_view(*rule, clock_.wall());
  daemon_.set_override(std::move(*rule),
                       [view, respond = std::move(respond)](const spool::Stored<void>& done) {
                         respond(done ? answer(view) : refuse(done.error()));
                       });
}

void ControlActions::remove_override(const OverrideRemove& request, Respond respond) const {
  const std::string domain = rule_domain(request.domain).value_or(request.domain);
  daemon_.remove_override(
      domain, request.by,
      [domain, respond = std::move(respond)](const spool::Stored<std::size_t>& removed) {
        respond(!removed       ? refuse(removed.error())
                : *removed > 0 ? answer(Json{{"removed", domain}})
                               : refuse(fmt::format("there is no override of {}; `stsrelay policy "
                                                    "override` lists them",
                                                    domain)));
      });
}

Response ControlActions::status() {
  const auto totals = reader_.totals();
  if (!totals) {
    return refuse(totals.error());
  }
  return answer(status_view(daemon_.status(), *totals, clock_.wall()));
}

Response ControlActions::results(const Results& request) {
  const auto tally = reader_.tally(request.day);
  if (!tally) {
    return refuse(tally.error());
  }
  Page page(request.limit);
  std::size_t position = 0;
  for (const auto& [key, counts] : tally->counts()) {
    if (position >= request.offset) {
      if (page.full()) {
        return page.respond("results", position);
      }
      page.add(result_view(key, counts));
    }
    ++position;
  }
  return page.respond("results", nullptr);
}

Response ControlActions::reload() const {
  const auto reloaded = daemon_.reload();
  if (!reloaded) {
    return refuse(fmt::format("the configuration was refused, the old one stays in force:\n{}",
                              fmt::join(reloaded.error(), "\n")));
  }
  return answer(Json{{"needs_restart", reloaded->needs_restart}});
}

}  // namespace relay::control
