// Requests about the queue; what they share with others is in relay/control/control_actions.cc.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "relay/control/answers.h"
#include "relay/control/control_actions.h"
#include "relay/control/queue_change.h"
#include "relay/control/queue_selection.h"
#include "relay/control/queue_why.h"
#include "relay/control/timestamp.h"
#include "relay/control/views.h"
#include "relay/net/domain_name.h"

namespace relay::control {
namespace {

// The main loop answers; what one request may cost it is bounded. A page ends early at any of
// these and says where to go on.
constexpr std::size_t kMaxScan = 10'000;  // messages looked at
constexpr std::size_t kScanStep = 250;    // messages read at once

Response no_such_message(spool::MessageId id) {
  return refuse(
      fmt::format("no message {} in the queue; it may have been delivered or removed", id.text()));
}

/// A pause's or resume's name in the form that is compared.
std::string canonical_name(spool::Pause::Kind kind, const std::string& name) {
  return kind == spool::Pause::Kind::domain ? canonical_domain(name) : lower(name);
}

/// Recipients by age, the last class without an upper bound: as qshape shows them.
class Ages {
 public:
  static constexpr std::array<std::chrono::minutes::rep, 9> kBounds{5,   10,  20,  40,  80,
                                                                    160, 320, 640, 1280};

  void add(std::chrono::milliseconds age) {
    const auto* const bound = std::ranges::find_if(
        kBounds, [age](auto minutes) { return age < std::chrono::minutes(minutes); });
    ++counts_.at(static_cast<std::size_t>(bound - kBounds.begin()));
    ++sum_;
  }
  [[nodiscard]] std::uint64_t sum() const { return sum_; }
  [[nodiscard]] Json view(const std::string& name) const {
    return {{"name", name}, {"recipients", sum_}, {"ages", counts_}};
  }

 private:
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};
  std::uint64_t sum_ = 0;
};

}  // namespace

Response ControlActions::list_queue(const QueueList& request) {
  const QueueSelection selection(request.filter, clock_.wall());
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
      const auto wanted = selection.apply(std::move(envelope));
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

void ControlActions::ChangeLine::next() {
  if (busy || waiting.empty()) {
    return;
  }
  busy = true;
  const auto begin = std::move(waiting.front());
  waiting.pop_front();
  begin();
}

void ControlActions::change_queue(const QueueChange& request, Respond respond) {
  const auto change = std::make_shared<QueueChanges>(reader_, clock_, daemon_, request);
  changes_->waiting.emplace_back([change, line = changes_, respond = std::move(respond)] {
    change->start([line, respond](Response response) {
      respond(std::move(response));
      line->busy = false;
      line->next();
    });
  });
  changes_->next();
}

void ControlActions::pause(const QueuePause& request, Respond respond) const {
  spool::Pause pause{request.kind, canonical_name(request.kind, request.name), request.reason,
                     clock_.wall(), request.by};
  const Json view = pause_view(pause);
  daemon_.pause(std::move(pause),
                [view, respond = std::move(respond)](const spool::Stored<void>& done) {
                  respond(done ? answer(view) : refuse(done.error()));
                });
}

void ControlActions::resume(const QueueResume& request, Respond respond) const {
  QueueResume wanted = request;
  wanted.name = canonical_name(request.kind, request.name);
  const std::string subject = delivery::subject_of({wanted.kind, wanted.name, "", {}, ""});
  daemon_.resume(wanted, [subject,
                          respond = std::move(respond)](const spool::Stored<std::size_t>& removed) {
    respond(!removed       ? refuse(removed.error())
            : *removed > 0 ? answer(Json{{"resumed", subject}})
                           : refuse(fmt::format("{} does not rest; `stsrelay status` lists what "
                                                "does",
                                                subject)));
  });
}

void ControlActions::import_queue(Respond respond) const {
  daemon_.import_queue([respond = std::move(respond)](const Imported& imported) {
    respond(answer(imported_view(imported)));
  });
}

Response ControlActions::top(const QueueTop& request) {
  const net::WallTime now = clock_.wall();
  Ages total;
  std::map<std::string, Ages, std::less<>> by_name;
  const auto read = reader_.each_waiting([&](const spool::SpoolReader::Waiting& waiting) {
    const auto age = now - waiting.received_at;
    const std::string_view name = request.by_sender ? waiting.sender : waiting.domain;
    auto found = by_name.find(name);
    if (found == by_name.end()) {
      found = by_name.emplace(std::string(name), Ages()).first;
    }
    found->second.add(age);
    total.add(age);
  });
  if (!read) {
    return refuse(read.error());
  }
  std::vector<std::pair<std::string, Ages>> rows(by_name.begin(), by_name.end());
  std::ranges::stable_sort(rows, std::greater<>(),
                           [](const auto& row) { return row.second.sum(); });
  Json json{{"by", request.by_sender ? "sender" : "domain"},
            {"minutes", Ages::kBounds},
            {"total", total.view("TOTAL")},
            {"count", rows.size()},
            {"rows", Json::array()}};
  rows.resize(std::min(rows.size(), request.limit));
  for (const auto& [name, ages] : rows) {
    json["rows"].push_back(ages.view(name));
  }
  return answer(json);
}

void ControlActions::why(spool::MessageId id, Respond respond) {
  auto envelope = reader_.envelope(id, "");
  auto pauses = reader_.pauses();
  if (!envelope || !pauses) {
    respond(refuse(!envelope ? envelope.error() : pauses.error()));
    return;
  }
  if (!*envelope) {
    respond(no_such_message(id));
    return;
  }
  WhyFacts facts;
  facts.envelope = std::move(**envelope);
  facts.pauses = delivery::Pauses(std::move(*pauses));
  facts.queue = daemon_.queue_settings();
  facts.rules = daemon_.status().rules;
  for (const spool::Recipient& recipient : facts.envelope.recipients) {
    const std::string hop = daemon_.next_hop(facts.envelope, recipient.domain);
    facts.next_hops[recipient.domain] = hop;
    const std::string policy_domain = hop.substr(0, hop.rfind(':'));
    if (const auto policy = reader_.policy(policy_domain)) {
      facts.policies[recipient.domain] = *policy;
    }
  }
  daemon_.ask_busy(
      {id}, [facts = std::move(facts), now = clock_.wall(),
             respond = std::move(respond)](const std::vector<delivery::GroupKey>& busy) mutable {
        for (const auto& [message, domain] : busy) {
          facts.busy.insert(domain);
        }
        respond(answer(why_view(facts, now)));
      });
}

}  // namespace relay::control
