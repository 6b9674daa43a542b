#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <systemd/sd-daemon.h>

#include "relay/daemon_parts.h"
#include "relay/staging/placement.h"
#include "relay/web/endpoint.h"

namespace relay {
namespace {

/// Domains that `status` lists, those that report-only rules would have refused most often.
constexpr std::size_t kWouldRefuseShown = 20;
constexpr std::chrono::hours kDnssecWatch{1};
// A clock that is wrong at the start has been set by then.
constexpr std::chrono::hours kFirstPurge{1};
constexpr std::chrono::hours kPurge{24};
// Between parts of it, so that mail does not wait.
constexpr std::chrono::seconds kPurgeStep{1};

}  // namespace

control::DaemonActions Daemon::control_actions() {
  control::DaemonActions actions;
  add_queue_actions(actions);
  add_client_actions(actions);
  actions.set_override = [this](const spool::PolicyOverride& rule,
                                std::function<void(spool::Stored<void>)> done) {
    rules_->set(rule, std::move(done));
  };
  actions.remove_override = [this](const std::string& domain, const std::string& by,
                                   control::DaemonActions::Counted done) {
    rules_->remove(domain, by, std::move(done));
  };
  actions.refresh_policy = [this](const net::DomainName& domain,
                                  control::DaemonActions::Verdict done) {
    WorkerThread& place = owner_of(domain);
    place.loop.post([this, &place, domain, done = std::move(done)] {
      place.worker->refresh_policy(domain, [this, done](const sts::PolicyVerdict& verdict) {
        main_loop_.post([done, verdict] { done(verdict); });
      });
    });
  };
  actions.policy_state = [this](const net::DomainName& domain, control::DaemonActions::State done) {
    WorkerThread& place = owner_of(domain);
    place.loop.post([this, &place, domain, done = std::move(done)] {
      main_loop_.post([done, state = place.worker->policy_state(domain.text())] { done(state); });
    });
  };
  actions.preview_report = [this](const spool::ReportKey& key) { return reporter_->preview(key); };
  actions.change_reports = [this](spool::ReportWrite write,
                                  std::function<void(spool::Stored<void>)> done) {
    spool_->write_report(std::move(write), main_loop_,
                         [this, done = std::move(done)](const spool::Stored<void>& stored) {
                           reporter_->wake();
                           done(stored);
                         });
  };
  actions.status = [this] { return status(); };
  actions.remembered = [this](const control::Trace& trace) {
    return trace.id ? trace_memory_.about_message(trace.id->text())
                    : trace_memory_.about_domain(trace.domain);
  };
  actions.start_trace = [this](const control::Trace& trace) {
    const std::string subject = trace.id ? trace.id->text() : trace.domain;
    dialogue_trace_.start(subject, clock_.steady() + std::chrono::seconds(trace.seconds));
    log_.info("trace", {{"subject", subject}, {"seconds", std::to_string(trace.seconds)}});
  };
  actions.reload = [this] { return reload(); };
  return actions;
}

WorkerThread& Daemon::owner_of(const net::DomainName& policy_domain) {
  return *threads_[delivery::Dispatcher::owner({}, {policy_domain.text()}, threads_.size())];
}

control::StatusFacts Daemon::status() const {
  control::StatusFacts facts;
  facts.hostname = config_->hostname;
  facts.config_file = config_path_;
  facts.started_at = started_at_;
  for (const conf::Listener& listener : config_->listen) {
    facts.listeners.push_back(listener.address.text());
  }
  facts.workers = threads_.size();
  facts.inbound_connections = connections_->total();
  facts.clients = connections_->served();
  for (const auto& thread : threads_) {
    const delivery::WorkerGauges& gauges = thread->worker->gauges();
    facts.deliveries_in_flight += gauges.active;
    facts.deliveries_ready += gauges.ready;
    facts.deliveries_waiting += gauges.waiting;
    facts.deliveries_resting += gauges.resting;
    facts.delivered += gauges.delivered;
    facts.deferred += gauges.deferred;
    facts.failed += gauges.failed;
    for (std::size_t i = 0; i < facts.staged.size(); ++i) {
      facts.staged.at(i) += gauges.staged.of(static_cast<delivery::Staged>(i));
    }
    facts.outbound_connections += gauges.active + gauges.idle_connections;
    facts.would_refuse += gauges.would_refuse;
    const auto domains = gauges.would_refuse_domains.top(kWouldRefuseShown);
    facts.would_refuse_domains.insert(facts.would_refuse_domains.end(), domains.begin(),
                                      domains.end());
    facts.policies.add(thread->worker->policy_gauges());
    const delivery::UpstreamStates& upstreams = thread->worker->upstreams();
    facts.upstream_auth_failures += upstreams.refusals();
    auto held = upstreams.all_held();
    facts.held_upstreams.insert(facts.held_upstreams.end(), held.begin(), held.end());
    gauges.tls.add_to(facts.tls);
    gauges.attempts.add_to(facts.attempts);
    gauges.delays.add_to(facts.delays);
    thread->worker->notice_counts().add_to(facts.notices);
  }
  facts.accepted = reception_counts_.accepted();
  facts.rejected = reception_counts_.rejected();
  facts.auth_failures = reception_counts_.auth_failures();
  if (events_ != nullptr) {
    const EventTotals events = events_->totals();
    facts.events_sent = events.sent;
    facts.events_lost = events.lost;
    facts.events_waiting = events.waiting;
  }
  facts.pauses = pauses_->all();
  facts.held_clients = clients_->holds();
  facts.client_limits = clients_->totals();
  facts.spool_failed = spool_->failed();
  facts.obstacle = obstacle();
  facts.test_world = config_->test_world.has_value();
  if (config_->staging) {
    facts.staging_modes = config_->staging->modes();
    facts.staging_summary = staging::summary(*config_->staging);
  }
  facts.statistics = spool_->statistics();
  facts.rules = rules_->rules();
  facts.dnssec_mode = config_->dns.dnssec == conf::Dns::Dnssec::validate ? "validate" : "trust_ad";
  facts.dnssec_state = dnssec_state_;
  facts.would_refuse_domains =
      delivery::highest(std::move(facts.would_refuse_domains), kWouldRefuseShown);
  return facts;
}

Expected<void, std::string> Daemon::start_web() {
  if (web_socket_ == nullptr) {
    return {};
  }
  web::Sources sources;
  sources.status = [this] { return status(); };
  sources.obstacle = [this] { return obstacle(); };
  sources.queue = [this] { return reader_->totals(); };
  sources.now = [this] { return clock_.wall(); };
  web_ = std::make_unique<net::HttpServer>(
      main_loop_, *web_socket_,
      [sources](const std::string& path) { return web::respond(path, sources); });
  return {};
}

std::string Daemon::obstacle() const {
  if (shutdown_deadline_ != nullptr) {
    return "it is stopping";
  }
  if (spool_->failed()) {
    return "the spool failed; the log says why, and only a restart helps";
  }
  if (!spool_->has_room_for(0)) {
    return "the queue's file system has less room than queue.min_free";
  }
  const conf::Queue& queue = config_->queue;
  const spool::Occupancy::Totals now = spool_->occupancy("");
  if (queue.max_messages > 0 && now.messages >= queue.max_messages) {
    return "the queue holds queue.max_messages";
  }
  return queue.max_size > 0 && now.octets >= queue.max_size ? "the queue holds queue.max_size" : "";
}

void Daemon::watch_loops() {
  std::uint64_t limit = 0;  // µs
  if (::sd_watchdog_enabled(0, &limit) <= 0) {
    return;
  }
  std::vector<net::EventLoop*> loops;
  for (const auto& thread : threads_) {
    loops.push_back(&thread->loop);
  }
  const auto half =
      std::chrono::floor<std::chrono::milliseconds>(std::chrono::microseconds(limit / 2));
  watchdog_ = std::make_unique<Watchdog>(main_loop_, std::move(loops), half,
                                         [] { ::sd_notify(0, "WATCHDOG=1"); });
}

void Daemon::watch_dnssec() {
  dnssec_watch_ = std::make_unique<net::Timer>(main_loop_, [this] { watch_dnssec(); });
  dnssec_watch_->start(kDnssecWatch);
  WorkerThread& place = *threads_.front();
  place.loop.post([this, &place] {
    place.worker->probe_dnssec([this](const std::string& state) {
      main_loop_.post([this, state] {
        if (state != dnssec_state_) {
          log_.info("dnssec", {{"state", state}});
        }
        dnssec_state_ = state;
      });
    });
  });
}

void Daemon::watch_old_policies() {
  policy_purge_ = std::make_unique<net::Timer>(main_loop_, [this] { purge_policies(); });
  policy_purge_->start(kFirstPurge);
}

void Daemon::purge_policies() {
  spool_->purge_policies(clock_.wall(), main_loop_, [this](const spool::Stored<std::size_t>& done) {
    policy_purge_->start(done && *done > 0 ? std::chrono::milliseconds(kPurgeStep)
                                           : std::chrono::milliseconds(kPurge));
  });
}

}  // namespace relay
