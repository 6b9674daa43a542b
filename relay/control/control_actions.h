// Carries out control requests: reads come from the spool, everything else is the daemon's.
// Threading: one event loop, the one that owns the reader.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "relay/control/control_protocol.h"
#include "relay/control/queue_import.h"
#include "relay/delivery/group.h"
#include "relay/delivery/local_rules.h"
#include "relay/delivery/notifier.h"
#include "relay/delivery/outcome.h"
#include "relay/delivery/policy_state.h"
#include "relay/delivery/tls_counts.h"
#include "relay/delivery/upstream_states.h"
#include "relay/delivery/would_refuse.h"
#include "relay/net/clock.h"
#include "relay/net/domain_name.h"
#include "relay/net/expected.h"
#include "relay/reception/clients.h"
#include "relay/reception/connection_counts.h"
#include "relay/reporting/reporter.h"
#include "relay/spool/spool.h"
#include "relay/spool/spool_reader.h"
#include "sts/discovery.h"

namespace relay::control {

/// What the daemon knows about itself.
struct StatusFacts {
  std::string hostname;
  std::string config_file;
  net::WallTime started_at{};
  std::vector<std::string> listeners;  ///< "127.0.0.1:25"
  std::size_t workers = 0;
  std::size_t inbound_connections = 0;
  std::size_t outbound_connections = 0;
  // A delivery: the recipients of one message in one domain.
  std::size_t deliveries_in_flight = 0;
  std::size_t deliveries_ready = 0;    ///< due, until a connection may be made
  std::size_t deliveries_waiting = 0;  ///< for their next time
  std::size_t deliveries_resting = 0;  ///< due, but their destination rests
  std::vector<spool::Pause> pauses;
  std::vector<spool::ClientHold> held_clients;
  reception::Clients::Totals client_limits;
  // Recipients since the start, by what an attempt came to.
  std::uint64_t delivered = 0, deferred = 0, failed = 0;
  bool spool_failed = false;
  std::string obstacle;  ///< why no mail is taken now; empty: it is
  bool test_world = false;
  std::string staging_modes;    ///< "sink,faults"; empty: it is not for staging
  std::string staging_summary;  ///< the same in words
  std::array<std::uint64_t, delivery::kStagedKinds> staged{};  ///< recipients by delivery::Staged
  spool::Spool::Statistics statistics;
  std::shared_ptr<const delivery::LocalRules> rules =
      std::make_shared<const delivery::LocalRules>();
  std::uint64_t would_refuse = 0;
  std::vector<delivery::WouldRefuse::Count> would_refuse_domains;  ///< the highest counts
  std::vector<delivery::UpstreamStates::Held> held_upstreams;      ///< that refuse our credentials
  std::uint64_t upstream_auth_failures = 0;
  delivery::PolicyTotals policies;
  delivery::TlsTotals tls;
  net::DurationTotals attempts{net::kMailDurations}, delays{net::kMailDurations};
  delivery::NoticeTotals notices;
  std::uint64_t accepted = 0, auth_failures = 0;  ///< messages; failed logins
  std::map<std::string, std::uint64_t> rejected;  ///< by SMTP command
  std::uint64_t events_sent = 0, events_lost = 0;
  std::size_t events_waiting = 0;
  std::map<std::string, reception::ConnectionCounts::Served> clients;  ///< by listener
  std::string dnssec_mode;                                             ///< "trust_ad" or "validate"
  std::string dnssec_state;  ///< "secure", or "not-secure: " and why
};

struct Reloaded {
  std::vector<std::string> needs_restart;  ///< changed settings that the reload could not apply
};

/// What only the daemon can do. All are called on the main loop; callbacks come back to it, never
/// before the call returned.
struct DaemonActions {
  using Counted = std::function<void(spool::Stored<std::size_t>)>;
  /// Changes messages and has delivery take note.
  struct QueueChanged {
    std::vector<std::size_t> recipients;   ///< by change; 0: nothing to change
    std::vector<delivery::GroupKey> busy;  ///< of these messages, what is being tried
  };
  using Changed = std::function<void(spool::Stored<QueueChanged>)>;
  std::function<void(std::vector<spool::MessageChange>, Changed)> change_queue;
  /// Which domains of messages are being tried.
  using Busy = std::function<void(std::vector<delivery::GroupKey>)>;
  std::function<void(std::vector<spool::MessageId>, Busy)> ask_busy;
  std::function<void(spool::Settlement, std::function<void(spool::Stored<void>)>)> settle;
  /// Lets a destination rest, and lets it no longer rest (answer: how many did, 0 or 1).
  std::function<void(spool::Pause, std::function<void(spool::Stored<void>)>)> pause;
  std::function<void(const QueueResume&, Counted)> resume;
  /// Whom mail comes from, by name.
  std::function<std::vector<reception::ClientState>()> clients;
  /// Holds a client's mail, and no longer holds it (answer: whether it did, 0 or 1; what was to be
  /// held before is in the queue by then).
  std::function<void(const spool::ClientHold&, std::function<void(spool::Stored<void>)>)>
      hold_client;
  std::function<void(const std::string& name, const std::string& by, Counted)> release_client;
  /// Takes in what lies in import_folder(), and removes it there.
  std::function<void(std::function<void(Imported)>)> import_queue;
  std::function<conf::Queue()> queue_settings;
  /// For a notice with an id of its own.
  std::function<delivery::NoticeFacts()> notice_facts;
  /// Where a message's recipients of one domain go, as delivery::place_of() says; "" if nowhere.
  std::function<std::string(const spool::Envelope&, const std::string& domain)> next_hop;
  /// Records what an operator did to a message.
  std::function<void(const QueueChange&, const spool::Envelope&, std::size_t recipients)> audit;
  /// Calls it from the loop, after what waits there.
  std::function<void(std::function<void()>)> later;
  /// Stores an override and puts it in force.
  std::function<void(spool::PolicyOverride, std::function<void(spool::Stored<void>)>)> set_override;
  /// Answer: how many there were. by: who wants it.
  std::function<void(const std::string& domain, const std::string& by, Counted)> remove_override;
  /// Fetches a domain's policy now, back-off or not.
  using Verdict = std::function<void(const sts::PolicyVerdict&)>;
  std::function<void(const net::DomainName&, Verdict)> refresh_policy;
  /// What is known of a domain's policy beside what is on disk.
  using State = std::function<void(const delivery::PolicyState&)>;
  std::function<void(const net::DomainName&, State)> policy_state;
  /// What a domain's report would be now; nullopt: nothing was counted.
  std::function<spool::Stored<std::optional<reporting::Preview>>(const spool::ReportKey&)>
      preview_report;
  /// Stores it, then looks for what is due.
  std::function<void(spool::ReportWrite, std::function<void(spool::Stored<void>)>)> change_reports;
  std::function<StatusFacts()> status;
  /// The events that are remembered of a message, else of a domain, as JSON objects in order.
  std::function<std::vector<std::string>(const Trace&)> remembered;
  /// Has sessions traced from now on.
  std::function<void(const Trace&)> start_trace;
  /// The errors, one line each; the old configuration then stays in force.
  std::function<Expected<Reloaded, std::vector<std::string>>()> reload;
};

class ControlActions {
 public:
  using Respond = std::function<void(Response)>;

  ControlActions(spool::SpoolReader& reader, const net::Clock& clock, DaemonActions daemon)
      : reader_(reader), clock_(clock), daemon_(std::move(daemon)) {}

  /// Calls respond once, within the call or later (also after this object is gone).
  void execute(const Request& request, Respond respond);

 private:
  [[nodiscard]] Response list_queue(const QueueList& request);
  [[nodiscard]] Response show_message(spool::MessageId id);
  void change_queue(const QueueChange& request, Respond respond);
  void pause(const QueuePause& request, Respond respond) const;
  [[nodiscard]] Response list_clients(const ClientList& request) const;
  void hold_client(const ClientHoldSet& request, Respond respond) const;
  void release_client(const ClientRelease& request, Respond respond);
  void resume(const QueueResume& request, Respond respond) const;
  [[nodiscard]] Response top(const QueueTop& request);
  void why(spool::MessageId id, Respond respond);
  void import_queue(Respond respond) const;
  [[nodiscard]] Response list_policies(const PolicyList& request);
  [[nodiscard]] Response list_overrides();
  void set_override(const OverrideSet& request, Respond respond) const;
  void remove_override(const OverrideRemove& request, Respond respond) const;
  [[nodiscard]] Response export_policies(const PolicyExport& request);
  [[nodiscard]] Response policy_history(const std::string& domain);
  void show_policy(const std::string& domain, Respond respond);
  void refresh_policy(const std::string& domain, Respond respond) const;
  [[nodiscard]] Response status();
  [[nodiscard]] Response trace(Trace request);
  [[nodiscard]] Response results(const Results& request);
  [[nodiscard]] Response list_reports(const ReportList& request);
  [[nodiscard]] Response preview_report(const ReportPreview& request) const;
  [[nodiscard]] Response preview_reports(std::chrono::sys_days day);
  [[nodiscard]] Response show_report(const ReportShow& request);
  void send_reports(const ReportSend& request, Respond respond);
  void suppress_reports(const ReportSuppress& request, Respond respond);
  [[nodiscard]] Response list_suppressions();
  void report_bounced(const ReportBounced& request, Respond respond);
  [[nodiscard]] Response reload() const;

  spool::SpoolReader& reader_;
  const net::Clock& clock_;
  DaemonActions daemon_;
  /// Changes of the queue go one after another: two at once could contradict each other.
  struct ChangeLine {
    std::deque<std::function<void()>> waiting;
    bool busy = false;
    void next();
  };
  std::shared_ptr<ChangeLine> changes_ = std::make_shared<ChangeLine>();
};

}  // namespace relay::control
