// What operators do to the queue while the daemon runs.
#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "relay/control/queue_import.h"
#include "relay/daemon_parts.h"
#include "relay/delivery/destination.h"
#include "relay/delivery/group.h"
#include "relay/settings.h"
#include "relay/staging/placement.h"

namespace relay {

void Daemon::add_queue_actions(control::DaemonActions& actions) {
  actions.change_queue = [this](std::vector<spool::MessageChange> changes,
                                control::DaemonActions::Changed done) {
    change_queue(std::move(changes), std::move(done));
  };
  actions.ask_busy = [this](const std::vector<spool::MessageId>& ids,
                            control::DaemonActions::Busy done) {
    dispatcher_->ask_busy(ids, main_loop_, std::move(done));
  };
  actions.settle = [this](spool::Settlement settlement,
                          std::function<void(spool::Stored<void>)> done) {
    if (config_->staging) {
      for (spool::Notice& notice : settlement.notices) {
        staging::place(notice, *config_->staging);
      }
    }
    spool_->settle(std::move(settlement), main_loop_, std::move(done));
  };
  actions.import_queue = [this](std::function<void(control::Imported)> done) {
    std::make_shared<control::QueueImport>(control::QueueImport::Parts{*spool_, main_loop_, clock_},
                                           control::import_folder(config_->queue.path),
                                           control::QueueImport::Files::removed)
        ->start([this, done = std::move(done)](control::Imported imported) {
          log_.info("queue-imported", {{"messages", std::to_string(imported.messages)},
                                       {"known", std::to_string(imported.known)},
                                       {"failed", std::to_string(imported.failed.size())}});
          done(std::move(imported));
        });
  };
  add_pause_actions(actions);
  add_queue_facts(actions);
}

void Daemon::add_pause_actions(control::DaemonActions& actions) {
  actions.pause = [this](spool::Pause pause, std::function<void(spool::Stored<void>)> done) {
    log_.warning(
        "paused",
        {{"what", delivery::subject_of(pause)}, {"reason", pause.reason}, {"by", pause.by}});
    spool_->save_pause(std::move(pause), main_loop_,
                       [this, done = std::move(done)](const spool::Stored<void>& stored) {
                         apply_pauses();
                         done(stored);
                       });
  };
  actions.resume = [this](const control::QueueResume& wanted,
                          control::DaemonActions::Counted done) {
    log_.info("resumed", {{"what", delivery::subject_of({wanted.kind, wanted.name, "", {}, ""})},
                          {"by", wanted.by}});
    spool_->remove_pause(wanted.kind, wanted.name, main_loop_,
                         [this, done = std::move(done)](const spool::Stored<std::size_t>& count) {
                           apply_pauses();
                           done(count);
                         });
  };
}

void Daemon::add_client_actions(control::DaemonActions& actions) {
  actions.clients = [this] { return clients_->states(); };
  actions.hold_client = [this](const spool::ClientHold& hold,
                               std::function<void(spool::Stored<void>)> done) {
    clients_->hold(hold, std::move(done));
  };
  actions.release_client = [this](const std::string& name, const std::string& by,
                                  control::DaemonActions::Counted done) {
    clients_->release(name, by, std::move(done));
  };
}

void Daemon::add_queue_facts(control::DaemonActions& actions) {
  actions.queue_settings = [this] { return config_->queue; };
  actions.notice_facts = [this] {
    return delivery::NoticeFacts{config_->hostname, spool_->new_id(), clock_.wall(),
                                 config_->queue.lifetime, config_->notices.return_size};
  };
  actions.next_hop = [this](const spool::Envelope& envelope, const std::string& domain) {
    const auto found =
        delivery::next_hop(config_->routes, delivery::path_of(envelope, domain),
                           config_->test_world ? config_->test_world->smtp_port : 25);
    const auto* const hop = std::get_if<delivery::NextHop>(&found);
    return hop != nullptr ? std::string(delivery::place_of(hop->key())) : std::string();
  };
  actions.audit = [this](const control::QueueChange& request, const spool::Envelope& envelope,
                         std::size_t recipients) {
    log_.info("queue-change", {{"id", envelope.id.text()},
                               {"action", std::string(control::name(request.action))},
                               {"from", envelope.sender.empty() ? "<>" : envelope.sender},
                               {"recipients", std::to_string(recipients)},
                               {"reason", request.reason},
                               {"by", request.by}});
  };
  actions.later = [this](std::function<void()> step) { main_loop_.post(std::move(step)); };
}

void Daemon::change_queue(std::vector<spool::MessageChange> changes,
                          control::DaemonActions::Changed done) {
  std::vector<spool::MessageId> ids;
  ids.reserve(changes.size());
  for (const spool::MessageChange& change : changes) {
    ids.push_back(change.id);
  }
  spool_->change(
      std::move(changes), main_loop_,
      [this, ids, done = std::move(done)](const spool::Stored<std::vector<std::size_t>>& changed) {
        if (!changed) {
          done(Unexpected<spool::StoreFault>(changed.error()));
          return;
        }
        std::vector<spool::PendingGroup> groups;
        for (const spool::MessageId id : ids) {
          const auto envelope = reader_->envelope(id, "");
          if (!envelope) {
            // Delivery knows of it as it was; the spool is asked again before each attempt.
            done(Unexpected<spool::StoreFault>(envelope.error()));
            return;
          }
          if (*envelope) {
            auto of_message = spool::pending_groups(**envelope);
            std::move(of_message.begin(), of_message.end(), std::back_inserter(groups));
          }
        }
        dispatcher_->changed(ids, groups, main_loop_,
                             [counts = *changed, done](std::vector<delivery::GroupKey> busy) {
                               done(control::DaemonActions::QueueChanged{counts, std::move(busy)});
                             });
      });
}

void Daemon::apply_pauses() {
  auto pauses = reader_->pauses();
  if (!pauses) {
    log_.error("spool-read-failed", {{"detail", pauses.error().reason}});
    return;
  }
  pauses_ = std::make_shared<const delivery::Pauses>(std::move(*pauses));
  dispatcher_->set_pauses(pauses_);
}

}  // namespace relay
