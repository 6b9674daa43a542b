// Who sends through us, one client over all its connections and all workers: its connections, what
// it has sent of what it may, and whether its mail is held, which is on disk as well.
// Threading: every method may be called from any thread; what is told back is told on the loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "relay/log.h"
#include "relay/net/event_loop.h"
#include "relay/reception/client_counts.h"
#include "relay/reception/connection_counts.h"
#include "relay/spool/spool.h"

namespace relay::reception {

/// As whom a connection is counted. name "": nobody yet, and it may send nothing.
struct Standing {
  std::string name;
  SendingLimits limits;
  std::unique_ptr<ConnectionCounts::Place> place{};
};

class Clients {
 public:
  /// References outlive it.
  struct Parts {
    net::EventLoop& loop;
    const net::Clock& clock;
    spool::Spool& spool;
    Log& log;
  };

  /// stored: the holds on disk.
  Clients(const Parts& parts, const std::vector<spool::ClientHold>& stored);

  /// nullopt: the client has as many connections as it may have.
  [[nodiscard]] std::optional<Standing> admit(std::string name, const SendingLimits& limits);
  [[nodiscard]] smtp::ClientRoom room(const Standing& client);
  /// Counts a message, unless it is refused. store: called once, within the call; what it hands to
  /// the spool for a message that is to be held comes before anything that follows a release().
  void take(const Standing& client, std::size_t recipients,
            const std::function<void(const Ruling&)>& store);
  /// A message that was taken could not be stored.
  void give_back(const Standing& client, std::size_t recipients);

  /// From here on its mail is held; done: once that is on disk.
  void hold(const spool::ClientHold& hold, std::function<void(spool::Stored<void>)> done);
  /// Its mail goes out again and its counts begin anew; done: once that and all that was to be held
  /// before is on disk, with how many there were, 0 or 1. by: who wants it.
  void release(const std::string& name, const std::string& by,
               std::function<void(spool::Stored<std::size_t>)> done);

  /// By name: those that are connected, have sent anything that counts, or are held.
  [[nodiscard]] std::vector<ClientState> states() const;
  [[nodiscard]] std::vector<spool::ClientHold> holds() const;
  /// Since the start.
  struct Totals {
    std::uint64_t messages_held = 0, messages_refused = 0, connections_refused = 0;
  };
  [[nodiscard]] Totals totals() const;

 private:
  void save(const spool::ClientHold& hold);
  void saved(const std::string& name, const spool::Stored<void>& stored);
  void log_held(const spool::ClientHold& hold);

  net::EventLoop& loop_;
  const net::Clock& clock_;
  spool::Spool& spool_;
  Log& log_;
  const std::shared_ptr<ConnectionCounts> connections_ = std::make_shared<ConnectionCounts>();
  std::atomic<std::uint64_t> messages_held_ = 0, messages_refused_ = 0, connections_refused_ = 0;
  mutable std::mutex mutex_;
  mutable ClientCounts counts_;
  std::set<std::string> unsaved_;  // whose hold the spool would not take
};

}  // namespace relay::reception
