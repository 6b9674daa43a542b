// Which recipient group is tried next: waiting ones by time, ready ones in turn by destination,
// each destination with its own connection window. Pure: time is an argument.
#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "relay/net/clock.h"
#include "relay/spool/message.h"

namespace relay::delivery {

/// The recipients of one domain of one message.
struct Group {
  spool::MessageId id{0};
  std::string domain;
  /// Kept for fresh messages so that they need not be read back; may be null.
  std::shared_ptr<const spool::Envelope> envelope;
};

struct QueueLimits {
  int per_destination = 20;
  int total = 250;
};

/// How an attempt fared, for the destination's window: only connection-level outcomes count.
enum class WindowFeedback { success, failure, none };

class PendingQueue {
 public:
  explicit PendingQueue(QueueLimits limits) : limits_(limits) {}
  void set_limits(QueueLimits limits) { limits_ = limits; }

  /// This destination has its own limit, if that is lower than the one for all.
  void limit_destination(const std::string& destination, int connections) {
    limits_by_destination_[destination] = connections;
  }
  /// destination: groups with equal keys share a window.
  void add(Group group, std::string destination, net::WallTime next_try, net::WallTime now);
  /// The next group to try now, within the limits; it counts as active until finished().
  struct Ready {
    Group group;
    std::string destination;
  };
  [[nodiscard]] std::optional<Ready> next(net::WallTime now);
  void finished(const std::string& key, WindowFeedback feedback);
  /// When the earliest waiting group comes due; nullopt: none waits.
  [[nodiscard]] std::optional<net::WallTime> next_due() const;

  /// Makes waiting groups of a message due now. Returns how many.
  std::size_t hasten(spool::MessageId id, net::WallTime now);
  /// Makes all groups that wait for a destination due now. Returns how many.
  std::size_t hasten_destination(const std::string& destination, net::WallTime now);
  /// Forgets groups of a message that are not active. Returns how many.
  std::size_t forget(spool::MessageId id);

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] std::size_t ready() const { return ready_; }
  [[nodiscard]] std::size_t active() const { return active_; }

 private:
  struct Destination {
    std::deque<Group> groups;
    int active = 0;
    double window = kInitialWindow;
    enum class Turn { none, queued } turn = Turn::none;
  };
  struct Waiting {
    Group group;
    std::string destination;
  };
  static constexpr double kInitialWindow = 5;
  /// Ready groups beyond this many are read back when their turn comes: bounds memory.
  static constexpr std::size_t kFreshEnvelopes = 5000;

  template <class Chosen>
  std::size_t hasten_if(const Chosen& chosen, net::WallTime now);
  void make_ready(Group group, const std::string& key);
  void give_turn(const std::string& key, Destination& destination);
  void wake(net::WallTime now);

  QueueLimits limits_;
  std::multimap<net::WallTime, Waiting> waiting_;
  std::unordered_map<std::string, Destination> destinations_;
  std::unordered_map<std::string, int> limits_by_destination_;
  std::list<std::string> turns_;  ///< destinations with ready groups and room in their window
  std::size_t ready_ = 0;
  std::size_t active_ = 0;
};

}  // namespace relay::delivery
