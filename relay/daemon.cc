#include "relay/daemon.h"

#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include "conf/restart.h"
#include "relay/control/control_actions.h"
#include "relay/control/control_server.h"
#include "relay/control/version.h"
#include "relay/delivery/dispatcher.h"
#include "relay/delivery/rule_book.h"
#include "relay/log.h"
#include "relay/net/descriptor_limit.h"
#include "relay/net/listener.h"
#include "relay/privileges.h"
#include "relay/reception/reception.h"
#include "relay/settings.h"

namespace relay {
namespace {

/// How long a stop waits for messages under way; systemd's TimeoutStopSec must be longer.
constexpr std::chrono::seconds kShutdownWait{30};
/// Domains that `status` lists, those that report-only rules would have refused most often.
constexpr std::size_t kWouldRefuseShown = 20;

/// One worker thread and what lives on its loop.
struct WorkerThread {
  net::EventLoop loop;
  std::unique_ptr<delivery::Worker> worker;
  std::unique_ptr<reception::Reception> reception;
  std::thread thread;
};

class Daemon {
 public:
  Daemon(std::string config_path, conf::Config config, conf::Preload preload)
      : config_path_(std::move(config_path)),
        config_(std::make_shared<const conf::Config>(std::move(config))),
        preload_(std::move(preload)),
        log_(config_->log) {}
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Everything up to the first accepted connection. The error is one sentence.
  Expected<void, std::string> start();
  void run() { main_loop_.run(); }

 private:
  Expected<void, std::string> bind_listeners();
  Expected<void, std::string> drop_privileges();
  Expected<void, std::string> open_spool();
  Expected<void, std::string> open_rules();
  Expected<void, std::string> make_workers();
  Expected<void, std::string> start_control();
  /// Stored policies of one worker's domains, and domains whose stored policy was damaged.
  struct PolicyShare {
    delivery::PolicyResolver::Policies policies;
    std::vector<std::string> refetch;
  };
  Expected<std::vector<PolicyShare>, std::string> load_policies(std::size_t count);
  Expected<void, std::string> load_queue();
  void start_threads();
  void announce();
  void stop();
  void worker_drained();
  void join();
  Expected<control::Reloaded, std::vector<std::string>> reload();
  Expected<control::Reloaded, std::vector<std::string>> apply(conf::Config config);
  control::DaemonActions control_actions();
  [[nodiscard]] WorkerThread& owner_of(const net::DomainName& policy_domain);
  [[nodiscard]] control::StatusFacts status() const;
  [[nodiscard]] std::vector<net::SocketAddress> listen_addresses() const;

  std::string config_path_;
  std::shared_ptr<const conf::Config> config_;
  conf::Preload preload_;  ///< until the rule book has it
  Log log_;
  net::SystemClock clock_;
  net::WallTime started_at_ = clock_.wall();
  net::EventLoop main_loop_;
  std::vector<std::shared_ptr<net::ListeningSocket>> sockets_;
  // Destroyed in reverse: control, dispatcher, workers, spool, and the loops that all of them use
  // last.
  std::vector<std::unique_ptr<WorkerThread>> threads_;
  std::unique_ptr<spool::Spool> spool_;
  std::unique_ptr<spool::SpoolReader> reader_;
  std::unique_ptr<delivery::RuleBook> rules_;
  std::shared_ptr<reception::ConnectionCounts> connections_ =
      std::make_shared<reception::ConnectionCounts>();
  std::unique_ptr<delivery::Dispatcher> dispatcher_;
  std::unique_ptr<control::ControlActions> actions_;
  std::unique_ptr<control::ControlServer> control_;
  std::unique_ptr<net::Timer> shutdown_deadline_;
  std::size_t draining_ = 0;
};

Daemon::~Daemon() {
  join();
  control_.reset();
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
       {&Daemon::bind_listeners, &Daemon::drop_privileges, &Daemon::open_spool, &Daemon::open_rules,
        &Daemon::make_workers, &Daemon::load_queue, &Daemon::start_control}) {
    if (auto done = (this->*step)(); !done) {
      return done;
    }
  }
  main_loop_.on_signal(SIGTERM, [this] { stop(); });
  main_loop_.on_signal(SIGINT, [this] { stop(); });
  main_loop_.on_signal(SIGHUP, [this] { static_cast<void>(reload()); });
  start_threads();
  announce();
  return {};
}

Expected<void, std::string> Daemon::bind_listeners() {
  for (const conf::Listener& listener : config_->listen) {
    const auto address = net::SocketAddress::from_ip(listener.address.ip, listener.address.port);
    if (!address) {
      return Unexpected<std::string>(
          fmt::format("{} is no address to listen on", listener.address.text()));
    }
    auto socket = net::ListeningSocket::bind(*address);
    if (!socket) {
      return Unexpected<std::string>(socket.error());
    }
    sockets_.push_back(std::move(*socket));
  }
  return {};
}

Expected<void, std::string> Daemon::drop_privileges() {
  if (::geteuid() != 0) {
    return {};
  }
  if (config_->user.empty()) {
    log_.warning("running-as-root", {{"remedy", "set user in the configuration"}});
    return {};
  }
  return become_user(*config_);
}

Expected<void, std::string> Daemon::open_spool() {
  spool::SpoolOptions options;
  options.directory = config_->queue.path;
  options.min_free_bytes = config_->queue.min_free;
  auto opened = spool::Spool::open(options, clock_);
  if (!opened) {
    return Unexpected<std::string>(opened.error());
  }
  spool_ = std::move(*opened);
  for (const std::string& warning : spool_->warnings()) {
    log_.warning("spool", {{"detail", warning}});
  }
  auto reader = spool::SpoolReader::open(config_->queue.path);
  if (!reader) {
    return Unexpected<std::string>(reader.error());
  }
  reader_ = std::move(*reader);
  return {};
}

Expected<void, std::string> Daemon::open_rules() {
  auto overrides = reader_->overrides();
  if (!overrides) {
    return Unexpected<std::string>(
        fmt::format("stored overrides cannot be read: {}", overrides.error().reason));
  }
  rules_ = std::make_unique<delivery::RuleBook>(
      delivery::RuleBook::Parts{main_loop_, clock_, *spool_, log_}, config_->tls_policy,
      std::move(preload_), std::move(*overrides));
  rules_->on_change([this](const std::shared_ptr<const delivery::LocalRules>& rules) {
    for (auto& thread : threads_) {
      thread->loop.post([worker = thread->worker.get(), rules] { worker->set_rules(rules); });
    }
  });
  return {};
}

Expected<void, std::string> Daemon::make_workers() {
  const std::size_t count = worker_count(*config_);
  const auto settings =
      worker_settings(*config_, reachable_at(listen_addresses()), rules_->rules());
  auto tls = net::TlsClientContext::create(settings->ca_file);
  if (!tls) {
    return Unexpected<std::string>(tls.error());
  }
  const auto dns = dns_options(*config_);
  if (!dns) {
    return Unexpected<std::string>(dns.error());
  }
  auto shares = load_policies(count);
  if (!shares) {
    return Unexpected<std::string>(shares.error());
  }
  std::vector<reception::ListenerBinding> bindings;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    bindings.push_back({sockets_[i], config_->listen[i]});
  }
  std::vector<delivery::Dispatcher::Place> places;
  for (std::size_t i = 0; i < count; ++i) {
    auto reader = spool::SpoolReader::open(config_->queue.path);
    if (!reader) {
      return Unexpected<std::string>(reader.error());
    }
    auto thread = std::make_unique<WorkerThread>();
    thread->worker = std::make_unique<delivery::Worker>(delivery::Worker::Parts{
        thread->loop, clock_, *spool_, log_, std::move(*reader), *dns, *tls, settings,
        std::move((*shares)[i].policies), std::move((*shares)[i].refetch)});
    thread->reception = std::make_unique<reception::Reception>(
        reception::ReceptionContext{thread->loop, clock_, *spool_, log_,
                                    reception::ReceptionSettings::from(*config_), connections_},
        bindings);
    places.push_back({&thread->loop, thread->worker.get()});
    threads_.push_back(std::move(thread));
  }
  dispatcher_ = std::make_unique<delivery::Dispatcher>(std::move(places), config_->routes);
  spool_->set_stored_observer([this](const std::shared_ptr<const spool::Envelope>& envelope) {
    dispatcher_->stored(envelope);
  });
  return {};
}

Expected<std::vector<Daemon::PolicyShare>, std::string> Daemon::load_policies(std::size_t count) {
  std::vector<PolicyShare> shares(count);
  const auto read = reader_->each_policy([&](spool::SpoolReader::StoredPolicy policy) {
    const std::string& domain = policy ? (*policy)->domain : policy.error();
    PolicyShare& share = shares[delivery::Dispatcher::owner({}, domain, count)];
    if (policy) {
      share.policies.push_back(std::move(*policy));
    } else {
      log_.warning("policy-damaged", {{"domain", domain}, {"detail", "it is fetched again"}});
      spool_->forget_policy(domain, {clock_.wall(), "damaged on disk", config_->sts.history});
      share.refetch.push_back(domain);
    }
  });
  if (!read) {
    return Unexpected<std::string>(
        fmt::format("stored policies cannot be read: {}", read.error().reason));
  }
  return shares;
}

Expected<void, std::string> Daemon::load_queue() {
  std::size_t groups = 0;
  auto read = reader_->each_pending([&](spool::PendingGroup group) {
    ++groups;
    const std::size_t owner =
        delivery::Dispatcher::owner(config_->routes, group.domain, threads_.size());
    threads_[owner]->worker->add_pending(std::move(group));
  });
  if (!read) {
    return Unexpected<std::string>(
        fmt::format("the queue cannot be read: {}", read.error().reason));
  }
  if (groups > 0) {
    log_.info("queue-loaded", {{"groups", std::to_string(groups)}});
  }
  return {};
}

Expected<void, std::string> Daemon::start_control() {
  auto socket = net::ListeningSocket::bind_unix(config_->control.socket, 0600);
  if (!socket) {
    return Unexpected<std::string>(socket.error());
  }
  actions_ = std::make_unique<control::ControlActions>(*reader_, clock_, control_actions());
  control_ = std::make_unique<control::ControlServer>(
      main_loop_, std::move(*socket),
      [this](const control::Request& request, std::function<void(control::Response)> respond) {
        actions_->execute(request, std::move(respond));
      });
  return {};
}

void Daemon::start_threads() {
  for (auto& thread : threads_) {
    thread->loop.post([worker = thread->worker.get()] { worker->begin(); });
    thread->thread = std::thread([&loop = thread->loop] { loop.run(); });
  }
}

void Daemon::announce() {
  for (const auto& address : listen_addresses()) {
    log_.info("listening", {{"address", address.literal()}});
  }
  if (config_->test_world) {
    log_.warning("test-world", {{"detail",
                                 "resolvers, ports or trust anchors are overridden: this "
                                 "daemon must not carry real mail"}});
  }
  rules_->announce();
  log_.info("ready", {{"version", std::string(control::kVersion)},
                      {"hostname", config_->hostname},
                      {"config", config_path_},
                      {"workers", std::to_string(threads_.size())}});
  ::sd_notify(0, "READY=1");
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
    log_.info("stopped", {});
    main_loop_.stop();
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
  // Trust anchors first: they can fail, and then nothing changes.
  auto tls = net::TlsClientContext::create(now->test_world ? now->test_world->ca_file : "");
  if (!tls) {
    return Unexpected<std::vector<std::string>>(std::vector{tls.error()});
  }
  rules_->configure(now->tls_policy, std::move(*preload));
  rules_->announce();
  const auto settings = worker_settings(*now, reachable_at(listen_addresses()), rules_->rules());
  log_.configure(now->log);
  const auto reception = reception::ReceptionSettings::from(*now);
  for (auto& thread : threads_) {
    thread->loop.post([&place = *thread, settings, context = *tls, reception] {
      place.worker->reconfigure(settings, context);
      place.reception->reconfigure(reception);
    });
  }
  config_ = std::move(now);
  return reloaded;
}

control::DaemonActions Daemon::control_actions() {
  control::DaemonActions actions;
  actions.retry = [this](spool::MessageId id, control::DaemonActions::Counted done) {
    spool_->reschedule(id, clock_.wall(), main_loop_,
                       [this, id, done = std::move(done)](spool::Stored<std::size_t> count) {
                         dispatcher_->retry_now(id);
                         done(std::move(count));
                       });
  };
  actions.remove = [this](spool::MessageId id, control::DaemonActions::Counted done) {
    spool_->remove(id, main_loop_,
                   [this, id, done = std::move(done)](spool::Stored<std::size_t> count) {
                     dispatcher_->forget(id);
                     done(std::move(count));
                   });
  };
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
  actions.status = [this] { return status(); };
  actions.reload = [this] { return reload(); };
  return actions;
}

WorkerThread& Daemon::owner_of(const net::DomainName& policy_domain) {
  return *threads_[delivery::Dispatcher::owner({}, policy_domain.text(), threads_.size())];
}

control::StatusFacts Daemon::status() const {
  control::StatusFacts facts;
  facts.hostname = config_->hostname;
  facts.config_file = config_path_;
  facts.started_at = started_at_;
  for (const auto& address : listen_addresses()) {
    facts.listeners.push_back(address.literal());
  }
  facts.workers = threads_.size();
  facts.inbound_connections = connections_->total();
  for (const auto& thread : threads_) {
    const delivery::WorkerGauges& gauges = thread->worker->gauges();
    facts.deliveries_in_flight += gauges.active;
    facts.deliveries_ready += gauges.ready;
    facts.deliveries_waiting += gauges.waiting;
    facts.delivered += gauges.delivered;
    facts.deferred += gauges.deferred;
    facts.failed += gauges.failed;
    facts.outbound_connections += gauges.active + gauges.idle_connections;
    facts.would_refuse += gauges.would_refuse;
    const auto domains = gauges.would_refuse_domains.top(kWouldRefuseShown);
    facts.would_refuse_domains.insert(facts.would_refuse_domains.end(), domains.begin(),
                                      domains.end());
    facts.policies.add(thread->worker->policy_gauges());
  }
  facts.spool_failed = spool_->failed();
  facts.test_world = config_->test_world.has_value();
  facts.statistics = spool_->statistics();
  facts.rules = rules_->rules();
  facts.would_refuse_domains =
      delivery::highest(std::move(facts.would_refuse_domains), kWouldRefuseShown);
  return facts;
}

std::vector<net::SocketAddress> Daemon::listen_addresses() const {
  std::vector<net::SocketAddress> addresses;
  for (const auto& socket : sockets_) {
    if (const auto address = socket->address()) {
      addresses.push_back(*address);
    }
  }
  return addresses;
}

}  // namespace

int run_daemon(const std::string& config_path) {
  auto config = load_config(config_path);
  if (!config) {
    for (const std::string& error : config.error()) {
      fmt::print(stderr, "{}\n", error);
    }
    return 1;
  }
  auto preload = load_preload(*config);
  if (!preload) {
    for (const std::string& error : preload.error()) {
      fmt::print(stderr, "{}\n", error);
    }
    return 1;
  }
  Daemon daemon(config_path, std::move(*config), std::move(*preload));
  if (auto started = daemon.start(); !started) {
    fmt::print(stderr, "stsrelay: {}\n", started.error());
    return 1;
  }
  daemon.run();
  return 0;
}

}  // namespace relay
