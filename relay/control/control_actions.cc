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
namespace {

// The main loop answers; what one request may cost it is bounded. A page ends early at any of
// these and says where to go on.
constexpr std::size_t kMaxScan = 10'000;  // messages looked at
constexpr std::size_t kScanStep = 250;    // messages read at once
constexpr std::size_t kRetriesAtOnce = 64;

class QueueFilter {
 public:
  explicit QueueFilter(const QueueList& request)
      : domain_(request.domain.empty() ? "" : canonical_domain(request.domain)),
        sender_(lower(request.sender)),
        recipient_(lower(request.recipient)) {}

  /// The envelope with the recipients asked for; nullopt if it is not meant.
  [[nodiscard]] std::optional<spool::Envelope> apply(spool::Envelope envelope) const {
    if (lower(envelope.sender).find(sender_) == std::string::npos) {
      return std::nullopt;
    }
    std::erase_if(envelope.recipients, [this](const spool::Recipient& recipient) {
      return (!domain_.empty() && recipient.domain != domain_) ||
             lower(recipient.address).find(recipient_) == std::string::npos;
    });
    const bool asked = !domain_.empty() || !recipient_.empty();
    return envelope.recipients.empty() && asked ? std::nullopt : std::optional(std::move(envelope));
  }

 private:
  std::string domain_, sender_, recipient_;
};

/// Retries many messages, a few at a time, and answers with the sum. Lives in its callbacks.
class RetryAll : public std::enable_shared_from_this<RetryAll> {
 public:
  RetryAll(std::vector<spool::MessageId> ids,
           std::function<void(spool::MessageId, DaemonActions::Counted)> retry,
           ControlActions::Respond respond)
      : ids_(std::move(ids)), retry_(std::move(retry)), respond_(std::move(respond)) {}

  void start() {
    if (ids_.empty()) {
      finish();
      return;
    }
    const std::size_t first = std::min(kRetriesAtOnce, ids_.size());
    for (std::size_t i = 0; i < first; ++i) {
      retry_next();
    }
  }

 private:
  void retry_next() {
    ++in_flight_;
    retry_(ids_[next_++], [self = shared_from_this()](const spool::Stored<std::size_t>& done) {
      self->on_retried(done);
    });
  }
  void on_retried(const spool::Stored<std::size_t>& done) {
    --in_flight_;
    if (done) {
      recipients_ += *done;
      messages_ += *done > 0 ? 1U : 0U;
    } else {
      fault_ = done.error();
      next_ = ids_.size();
    }
    if (next_ < ids_.size()) {
      retry_next();
    } else if (in_flight_ == 0) {
      finish();
    }
  }
  void finish() {
    const auto respond = std::exchange(respond_, {});
    respond(fault_ ? refuse(*fault_)
                   : answer(Json{{"messages", messages_}, {"recipients", recipients_}}));
  }

  std::vector<spool::MessageId> ids_;
  std::function<void(spool::MessageId, DaemonActions::Counted)> retry_;
  ControlActions::Respond respond_;
  std::size_t next_ = 0, in_flight_ = 0, messages_ = 0, recipients_ = 0;
  std::optional<spool::StoreFault> fault_;
};

Response no_such_message(spool::MessageId id) {
  return refuse(
      fmt::format("no message {} in the queue; it may have been delivered or removed", id.text()));
}

}  // namespace

void ControlActions::execute(const Request& request, Respond respond) {
  struct Visitor {
    ControlActions& actions;
    Respond respond;

    void operator()(const QueueList& list) { respond(actions.list_queue(list)); }
    void operator()(const QueueShow& show) { respond(actions.show_message(show.id)); }
    void operator()(const QueueRetry& retry) { actions.retry(retry, std::move(respond)); }
    void operator()(const QueueRemove& remove) { actions.remove(remove.id, std::move(respond)); }
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
    void operator()(const Reload& /*reload*/) const { respond(actions.reload()); }
    void operator()(const Trace& trace) { respond(actions.trace(trace)); }
  };
  std::visit(Visitor{*this, std::move(respond)}, request);
}

Response ControlActions::list_queue(const QueueList& request) {
  const QueueFilter filter(request);
  Page page(request.limit);
  std::optional<spool::MessageId> last = request.after;
  std::size_t scanned = 0;
  while (scanned < kMaxScan) {
    auto envelopes = reader_.list(last, kScanStep);
    if (!envelopes) {
      return refuse(envelopes.error());
    }
    for (spool::Envelope& envelope : *envelopes) {
      const spool::MessageId id = envelope.id;
      const auto wanted = filter.apply(std::move(envelope));
      // A page that is full is the last one unless there is one entry more.
      if (wanted && page.full()) {
        return page.respond("messages", last->text());
      }
      if (wanted) {
        page.add(message_summary(*wanted));
      }
      last = id;
      ++scanned;
    }
    if (envelopes->size() < kScanStep) {
      return page.respond("messages", nullptr);
    }
  }
  return page.respond("messages", last ? Json(last->text()) : Json());
}

Response ControlActions::show_message(spool::MessageId id) {
  const auto envelope = reader_.envelope(id, "");
  if (!envelope) {
    return refuse(envelope.error());
  }
  return *envelope ? answer(message_details(**envelope)) : no_such_message(id);
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

void ControlActions::retry(const QueueRetry& request, Respond respond) {
  if (request.id) {
    daemon_.retry(*request.id, [id = *request.id, respond = std::move(respond)](
                                   const spool::Stored<std::size_t>& done) {
      respond(!done       ? refuse(done.error())
              : *done > 0 ? answer(Json{{"messages", 1}, {"recipients", *done}})
                          : no_such_message(id));
    });
    return;
  }
  const std::string domain = request.domain.empty() ? "" : canonical_domain(request.domain);
  std::vector<spool::MessageId> ids;
  const auto read = reader_.each_pending([&](const spool::PendingGroup& group) {
    if (domain.empty() || group.domain == domain) {
      ids.push_back(group.id);
    }
  });
  if (!read) {
    respond(refuse(read.error()));
    return;
  }
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::make_shared<RetryAll>(std::move(ids), daemon_.retry, std::move(respond))->start();
}

void ControlActions::remove(spool::MessageId id, Respond respond) const {
  daemon_.remove(id, [id, respond = std::move(respond)](const spool::Stored<std::size_t>& done) {
    respond(!done       ? refuse(done.error())
            : *done > 0 ? answer(Json{{"messages", 1}, {"recipients", *done}})
                        : no_such_message(id));
  });
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
