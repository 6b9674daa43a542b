// What the running daemon is made of, and the order in which it goes. Private to relay/daemon*.cc.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "conf/config.h"
#include "conf/preload.h"
#include "relay/control/control_actions.h"
#include "relay/control/control_server.h"
#include "relay/delivery/dialogue_trace.h"
#include "relay/delivery/dispatcher.h"
#include "relay/delivery/pauses.h"
#include "relay/delivery/rule_book.h"
#include "relay/delivery/worker.h"
#include "relay/delivery_files.h"
#include "relay/event_feed.h"
#include "relay/inherited_sockets.h"
#include "relay/log.h"
#include "relay/net/event_loop.h"
#include "relay/net/http_server.h"
#include "relay/net/listener.h"
#include "relay/reception/reception.h"
#include "relay/reception_counts.h"
#include "relay/reporting/reporter.h"
#include "relay/spool/spool.h"
#include "relay/spool/spool_reader.h"
#include "relay/trace_memory.h"
#include "relay/watchdog.h"

namespace relay {

/// One worker thread and what lives on its loop.
struct WorkerThread {
  net::EventLoop loop;
  std::unique_ptr<delivery::Worker> worker;
  std::unique_ptr<reception::Reception> reception;
  std::thread thread;
};

class Daemon {
 public:
  /// What was read while the process may still have been root.
  struct Files {
    conf::Preload preload;
    std::vector<reception::ListenerFiles> listeners;
    DeliveryFiles delivery;
  };

  Daemon(std::string config_path, conf::Config config, Files files)
      : config_path_(std::move(config_path)),
        config_(std::make_shared<const conf::Config>(std::move(config))),
        files_(std::move(files)),
        log_(config_->log) {}
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Everything up to the first accepted connection. The error is one sentence.
  Expected<void, std::string> start();
  void run() { main_loop_.run(); }

 private:
  Expected<void, std::string> take_sockets();
  Expected<void, std::string> bind_listeners();
  /// The endpoint of metrics and probes, if the configuration wants one.
  Expected<void, std::string> bind_web();
  /// The one that the service manager holds for this address, or one of our own.
  Expected<std::shared_ptr<net::ListeningSocket>, std::string> socket_for(
      const net::SocketAddress& address);
  Expected<std::shared_ptr<net::ListeningSocket>, std::string> socket_for(
      const conf::Listener& listener);
  Expected<void, std::string> start_web();
  Expected<void, std::string> drop_privileges();
  Expected<void, std::string> open_spool();
  /// Where `queue import` puts messages.
  Expected<void, std::string> make_import_folder();
  Expected<void, std::string> open_rules();
  Expected<void, std::string> open_clients();
  /// Who else sees what is logged: programs that want events, and `trace`.
  Expected<void, std::string> make_watchers();
  Expected<std::unique_ptr<EventSink>, std::string> event_sink();
  Expected<void, std::string> make_workers();
  Expected<void, std::string> start_control();
  /// What is stored of one worker's domains, and those whose stored policy was damaged.
  struct PolicyShare {
    delivery::StoredPolicies stored;
    std::vector<std::string> refetch;
  };
  Expected<std::vector<PolicyShare>, std::string> load_policies(std::size_t count);
  Expected<void, std::string> load_queue();
  Expected<void, std::string> make_reporter();
  void start_threads();
  void announce();
  void announce_reports();
  void announce_staging();
  /// What rests, and whose mail is held.
  void announce_stops();
  void announce_exposed_credentials();
  void stop();
  void worker_drained();
  void join();
  Expected<control::Reloaded, std::vector<std::string>> reload();
  Expected<control::Reloaded, std::vector<std::string>> apply(conf::Config config);
  control::DaemonActions control_actions();
  void add_queue_actions(control::DaemonActions& actions);
  void add_pause_actions(control::DaemonActions& actions);
  void add_queue_facts(control::DaemonActions& actions);
  void add_client_actions(control::DaemonActions& actions);
  void change_queue(std::vector<spool::MessageChange> changes,
                    control::DaemonActions::Changed done);
  /// Has delivery take note of what the spool now says rests.
  void apply_pauses();
  [[nodiscard]] WorkerThread& owner_of(const net::DomainName& policy_domain);
  /// Asks now and every hour whether secure DNS answers are to be had.
  void watch_dnssec();
  /// Has old policies removed from the disk, a while after the start and then every day.
  void watch_old_policies();
  void purge_policies();
  /// Signs of life for the service manager, if it asked for them.
  void watch_loops();
  [[nodiscard]] control::StatusFacts status() const;
  /// Why it takes no mail now; empty: it does.
  [[nodiscard]] std::string obstacle() const;
  /// Of the listeners that mail could come back to.
  [[nodiscard]] std::vector<net::SocketAddress> listen_addresses() const;

  std::string config_path_;
  std::shared_ptr<const conf::Config> config_;
  Files files_;  ///< until the rule book and the workers have them
  Log log_;
  ReceptionCounts reception_counts_;
  TraceMemory trace_memory_{config_->log.trace_memory};
  delivery::DialogueTrace dialogue_trace_;
  net::SystemClock clock_{config_->test_world ? config_->test_world->clock_offset
                                              : conf::Duration(0)};
  net::WallTime started_at_ = clock_.wall();
  net::EventLoop main_loop_;
  InheritedSockets inherited_;         ///< until they are claimed
  std::unique_ptr<EventFeed> events_;  ///< null: nobody wants them
  std::vector<std::shared_ptr<net::ListeningSocket>> sockets_;
  // Destroyed in reverse: control, dispatcher, workers, spool, and the loops that all of them use
  // last.
  std::vector<std::unique_ptr<WorkerThread>> threads_;
  reception::PasswordChecker passwords_;
  reception::AuthThrottle throttle_;
  std::unique_ptr<spool::Spool> spool_;
  std::unique_ptr<spool::SpoolReader> reader_;
  std::unique_ptr<delivery::RuleBook> rules_;
  std::shared_ptr<const delivery::Pauses> pauses_ = std::make_shared<const delivery::Pauses>();
  std::shared_ptr<reception::ConnectionCounts> connections_ =
      std::make_shared<reception::ConnectionCounts>();
  std::unique_ptr<reception::Clients> clients_;
  std::unique_ptr<reporting::Reporter> reporter_;
  std::unique_ptr<delivery::Dispatcher> dispatcher_;
  std::unique_ptr<control::ControlActions> actions_;
  std::unique_ptr<control::ControlServer> control_;
  std::shared_ptr<net::ListeningSocket> web_socket_;  ///< null: no endpoint
  std::unique_ptr<net::HttpServer> web_;
  std::unique_ptr<net::Timer> dnssec_watch_;
  std::unique_ptr<net::Timer> policy_purge_;
  std::unique_ptr<Watchdog> watchdog_;
  std::string dnssec_state_ = "not asked yet";  ///< as DnsClient::probe_dnssec() says it
  std::unique_ptr<net::Timer> shutdown_deadline_;
  std::size_t draining_ = 0;
};

}  // namespace relay
