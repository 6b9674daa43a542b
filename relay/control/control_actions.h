// Carries out control requests: reads come from the spool, everything else is the daemon's.
// Threading: one event loop, the one that owns the reader.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "relay/control/control_protocol.h"
#include "relay/delivery/policy_state.h"
#include "relay/net/clock.h"
#include "relay/net/domain_name.h"
#include "relay/net/expected.h"
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
  std::size_t deliveries_in_flight = 0;
  bool spool_failed = false;
  bool test_world = false;
  spool::Spool::Statistics statistics;
  delivery::PolicyTotals policies;
};

struct Reloaded {
  std::vector<std::string> needs_restart;  ///< changed settings that the reload could not apply
};

/// What only the daemon can do. All are called on the main loop; callbacks come back to it, never
/// before the call returned.
struct DaemonActions {
  using Counted = std::function<void(spool::Stored<std::size_t>)>;
  /// Makes all recipients of a message due now. Answer: how many.
  std::function<void(spool::MessageId, Counted)> retry;
  /// Removes a message without notice to anyone. Answer: recipients removed.
  std::function<void(spool::MessageId, Counted)> remove;
  /// Fetches a domain's policy now, back-off or not.
  using Verdict = std::function<void(const sts::PolicyVerdict&)>;
  std::function<void(const net::DomainName&, Verdict)> refresh_policy;
  /// What is known of a domain's policy beside what is on disk.
  using State = std::function<void(const delivery::PolicyState&)>;
  std::function<void(const net::DomainName&, State)> policy_state;
  std::function<StatusFacts()> status;
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
  void retry(const QueueRetry& request, Respond respond);
  void remove(spool::MessageId id, Respond respond) const;
  [[nodiscard]] Response list_policies(const PolicyList& request);
  [[nodiscard]] Response export_policies(const PolicyExport& request);
  [[nodiscard]] Response policy_history(const std::string& domain);
  void show_policy(const std::string& domain, Respond respond);
  void refresh_policy(const std::string& domain, Respond respond) const;
  [[nodiscard]] Response status();
  [[nodiscard]] Response results(const Results& request);
  [[nodiscard]] Response reload() const;

  spool::SpoolReader& reader_;
  const net::Clock& clock_;
  DaemonActions daemon_;
};

}  // namespace relay::control
