#include "relay/daemon.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include "conf/restart.h"
#include "relay/control/timestamp.h"
#include "relay/control/version.h"
#include "relay/daemon_parts.h"
#include "relay/delivery_files.h"
#include "relay/listener_files.h"
#include "relay/net/descriptor_limit.h"
#include "relay/settings.h"
#include "relay/staging/placement.h"

namespace relay {
namespace {

/// How long a stop waits for messages under way; systemd's TimeoutStopSec must be longer.
constexpr std::chrono::seconds kShutdownWait{30};

/// Tells the service manager that a reload goes on; when destroyed, that it is over.
class ReloadNotice {
 public:
  ReloadNotice() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    ::sd_notify(0, fmt::format("RELOADING=1\nMONOTONIC_USEC={}",
                               std::chrono::duration_cast<std::chrono::microseconds>(now).count())
                       .c_str());
  }
  ~ReloadNotice() { ::sd_notify(0, "READY=1"); }
  ReloadNotice(const ReloadNotice&) = delete;
  ReloadNotice& operator=(const ReloadNotice&) = delete;
};

int fail(const std::vector<std::string>& errors) {
  for (const std::string& error : errors) {
    fmt::print(stderr, "{}\n", error);
  }
  return 1;
}

}  // namespace

Daemon::~Daemon() {
  join();
  web_.reset();
  control_.reset();
  reporter_.reset();
  for (auto& thread : threads_) {
    thread->reception.reset();
    thread->worker.reset();
  }
  // Commits what was handed over; its answers go to loops that no longer run.
  spool_.reset();
}

Expected<void, std::string> Daemon::start() {
  net::raise_descriptor_limit();
  for (const auto step :
       {&Daemon::take_sockets, &Daemon::bind_listeners, &Daemon::bind_web, &Daemon::drop_privileges,
        &Daemon::open_spool, &Daemon::open_rules, &Daemon::open_clients, &Daemon::make_watchers,
        &Daemon::make_workers, &Daemon::load_queue, &Daemon::make_reporter, &Daemon::start_control,
        &Daemon::start_web}) {
    if (auto done = (this->*step)(); !done) {
      return done;
    }
  }
  main_loop_.on_signal(SIGTERM, [this] { stop(); });
  main_loop_.on_signal(SIGINT, [this] { stop(); });
  main_loop_.on_signal(SIGHUP, [this] { static_cast<void>(reload()); });
  start_threads();
  reporter_->begin();
  watch_dnssec();
  watch_old_policies();
  watch_loops();
  announce();
  return {};
}

void Daemon::start_threads() {
  for (auto& thread : threads_) {
    thread->loop.post([worker = thread->worker.get()] { worker->begin(); });
    thread->thread = std::thread([&loop = thread->loop] { loop.run(); });
  }
}

void Daemon::announce() {
  for (const std::string& unclaimed : inherited_.unclaimed()) {
    log_.warning("socket-unused",
                 {{"socket", unclaimed},
                  {"remedy", "name its address in listen or metrics, or disable its socket unit"}});
  }
  inherited_ = {};
  for (const conf::Listener& listener : config_->listen) {
    log_.info("listening", {{"address", listener.address.text()}});
  }
  if (web_socket_ != nullptr) {
    log_.info("metrics", {{"address", web_socket_->address()->literal()}});
  }
  if (config_->test_world) {
    log_.warning("test-world", {{"detail",
                                 "resolvers, ports or trust anchors are overridden: this "
                                 "daemon must not carry real mail"}});
  }
  announce_staging();
  announce_reports();
  announce_exposed_credentials();
  rules_->announce();
  announce_stops();
  log_.info("ready", {{"version", std::string(control::kVersion)},
                      {"hostname", config_->hostname},
                      {"config", config_path_},
                      {"workers", std::to_string(threads_.size())}});
  ::sd_notify(0, "READY=1");
}

void Daemon::announce_stops() {
  for (const spool::Pause& pause : pauses_->all()) {
    log_.warning("paused", {{"what", delivery::subject_of(pause)},
                            {"reason", pause.reason},
                            {"by", pause.by},
                            {"since", control::to_rfc3339(pause.since)}});
  }
  for (const spool::ClientHold& hold : clients_->holds()) {
    log_.warning("client-held", {{"client", hold.name},
                                 {"reason", hold.reason},
                                 {"by", hold.by},
                                 {"since", control::to_rfc3339(hold.since)}});
  }
}

void Daemon::announce_staging() {
  if (config_->staging) {
    log_.warning("staging", {{"mode", config_->staging->modes()},
                             {"detail", staging::summary(*config_->staging)}});
  }
}

void Daemon::announce_reports() {
  const conf::Reports& reports = config_->reports;
  if (!reports.enabled()) {
    return;
  }
  if (reports.dkim.empty()) {
    log_.warning("reports-unsigned",
                 {{"detail", "receivers must ignore report mail without a DKIM signature"},
                  {"remedy", "name keys in reports.dkim"}});
  }
  log_.info("reports", {{"contact", reports.contact},
                        {"state", reports.dry_run_folder.empty() ? "sent" : "dry run"}});
}

void Daemon::announce_exposed_credentials() {
  for (const std::string& account : exposed_credentials(*config_)) {
    log_.warning("credentials-exposed",
                 {{"account", account},
                  {"detail",
                   "send_over lets these credentials go to a host that has not proved its name: "
                   "whoever sits between can read them"}});
  }
}

void Daemon::stop() {
  if (shutdown_deadline_) {
    return;
  }
  ::sd_notify(0, "STOPPING=1");
  log_.info("stopping", {});
  shutdown_deadline_ = std::make_unique<net::Timer>(main_loop_, [this] {
    log_.warning("stop-forced", {{"detail", "messages under way were cut off; they stay queued"}});
    main_loop_.stop();
  });
  shutdown_deadline_->start(kShutdownWait);
  reporter_->stop();
  // The reception first: what it still accepts is stored and waits for the next start.
  draining_ = 2 * threads_.size();
  for (auto& thread : threads_) {
    thread->loop.post([this, &place = *thread] {
      const auto drained = [this] { main_loop_.post([this] { worker_drained(); }); };
      place.reception->drain(drained);
      place.worker->drain(drained);
    });
  }
}

void Daemon::worker_drained() {
  if (--draining_ == 0) {
    const auto leave = [this] {
      log_.info("stopped", {});
      main_loop_.stop();
    };
    if (events_ != nullptr) {
      events_->drain(leave);
    } else {
      leave();
    }
  }
}

void Daemon::join() {
  for (auto& thread : threads_) {
    if (thread->thread.joinable()) {
      thread->loop.stop();
      thread->thread.join();
    }
  }
}

Expected<control::Reloaded, std::vector<std::string>> Daemon::reload() {
  const ReloadNotice notice;
  auto reloaded = load_config(config_path_).and_then([this](conf::Config&& config) {
    return apply(std::move(config));
  });
  if (!reloaded) {
    for (const std::string& error : reloaded.error()) {
      log_.error("reload-failed", {{"detail", error}});
    }
    return reloaded;
  }
  log_.info("reloaded",
            {{"needs_restart", fmt::format("{}", fmt::join(reloaded->needs_restart, ","))}});
  return reloaded;
}

Expected<control::Reloaded, std::vector<std::string>> Daemon::apply(conf::Config config) {
  // Named against what runs, however many reloads ago it was changed.
  control::Reloaded reloaded{conf::settings_needing_restart(*config_, config)};
  auto now = std::make_shared<const conf::Config>(conf::reloaded(*config_, std::move(config)));
  auto preload = load_preload(*now);
  if (!preload) {
    return Unexpected<std::vector<std::string>>(preload.error());
  }
  auto reports = report_settings(*now);
  if (!reports) {
    return Unexpected<std::vector<std::string>>(std::vector{reports.error()});
  }
  auto listeners = load_listener_files(*now, config_path_);
  if (!listeners) {
    return Unexpected<std::vector<std::string>>(listeners.error());
  }
  auto delivery = load_delivery_files(*now, config_path_);
  if (!delivery) {
    return Unexpected<std::vector<std::string>>(delivery.error());
  }
  // Trust anchors first: they can fail, and then nothing changes.
  auto tls = net::TlsClientContext::create(now->test_world ? now->test_world->ca_file : "",
                                           revocation(*now));
  if (!tls) {
    return Unexpected<std::vector<std::string>>(std::vector{tls.error()});
  }
  rules_->configure(now->tls_policy, std::move(*preload));
  rules_->announce();
  const auto settings = worker_settings(*now, reachable_at(listen_addresses()), rules_->rules(),
                                        std::move(*delivery));
  log_.configure(now->log);
  const auto reception = reception::ReceptionSettings::from(*now, *listeners);
  for (auto& thread : threads_) {
    thread->loop.post([&place = *thread, settings, context = *tls, reception] {
      place.worker->reconfigure(settings, context);
      place.reception->reconfigure(reception);
    });
  }
  reporter_->reconfigure(std::move(*reports));
  config_ = std::move(now);
  announce_staging();
  announce_reports();
  announce_exposed_credentials();
  return reloaded;
}

int run_daemon(const std::string& config_path) {
  auto config = load_config(config_path);
  if (!config) {
    return fail(config.error());
  }
  auto preload = load_preload(*config);
  if (!preload) {
    return fail(preload.error());
  }
  auto listeners = load_listener_files(*config, config_path);
  if (!listeners) {
    return fail(listeners.error());
  }
  auto delivery = load_delivery_files(*config, config_path);
  if (!delivery) {
    return fail(delivery.error());
  }
  Daemon daemon(config_path, std::move(*config),
                {std::move(*preload), std::move(*listeners), std::move(*delivery)});
  if (auto started = daemon.start(); !started) {
    fmt::print(stderr, "stsrelay: {}\n", started.error());
    return 1;
  }
  daemon.run();
  return 0;
}

}  // namespace relay
