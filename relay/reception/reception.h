// Receiving mail on one worker: accepts its share of connections, keeps the caps, and owns the
// sessions. Threading: belongs to its event loop; only the connection counts are shared.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "conf/config.h"
#include "relay/log.h"
#include "relay/net/listener.h"
#include "relay/reception/connection_counts.h"
#include "relay/reception/inbound.h"

namespace relay::reception {

struct ReceptionContext {
  net::EventLoop& loop;
  const net::Clock& clock;
  spool::Spool& spool;
  Log& log;
  PasswordChecker& passwords;  ///< of all workers, as are the next ones
  AuthThrottle& throttle;
  std::shared_ptr<const ReceptionSettings> settings;
  std::shared_ptr<ConnectionCounts> connections;  ///< of all workers
  Clients& clients;                               ///< of all workers
};

/// A bound socket and the rules of the listener it was bound for.
struct ListenerBinding {
  std::shared_ptr<net::ListeningSocket> socket;
  ListenerSettings listener;
};

class Reception {
 public:
  Reception(ReceptionContext context, std::vector<ListenerBinding> listeners);
  ~Reception() = default;
  Reception(const Reception&) = delete;
  Reception& operator=(const Reception&) = delete;

  /// For connections to come; sessions keep what they began with. A listener's rules follow by its
  /// address; listeners added or removed need a restart.
  void reconfigure(std::shared_ptr<const ReceptionSettings> settings);
  /// Accepts nothing more and ends all sessions, those that are receiving a message after it.
  /// done: called from the loop when none is left; the caller bounds the wait.
  void drain(std::function<void()> done);
  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }

 private:
  struct Session {
    std::unique_ptr<ConnectionCounts::Place> place;
    std::unique_ptr<Inbound> inbound;
  };

  void accepted(std::unique_ptr<net::Connection> connection, const ListenerSettings& listener);
  net::ProxyRules proxy_rules(const ListenerBinding& binding);
  struct Crowd {
    std::string reason;  ///< the setting, for the log
    std::string text;    ///< for the client
  };
  void turn_away(std::unique_ptr<net::Connection> connection, const ListenerSettings& listener,
                 const std::string& client, const Crowd& crowd);
  void ended(Inbound* inbound);
  void report_drained();

  ReceptionContext context_;
  std::vector<ListenerBinding> listeners_;
  std::vector<std::unique_ptr<net::Acceptor>> acceptors_;
  std::unordered_map<Inbound*, Session> sessions_;
  std::function<void()> drained_;
};

}  // namespace relay::reception
