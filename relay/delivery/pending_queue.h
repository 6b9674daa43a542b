// Which recipient group is tried next: waiting ones by time; ready ones by priority class, in turn
// by destination and there by sender, each destination with its own connection window; those of
// destinations that rest not at all. Pure: time is an argument.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "relay/delivery/fair_queue.h"
#include "relay/delivery/group.h"
#include "relay/delivery/pauses.h"
#include "relay/net/clock.h"

namespace relay::delivery {

struct QueueLimits {
  int per_destination = 20;
  int total = 250;
  /// Bulk mail leaves a quarter of all places to other mail, and one of each destination's.
  [[nodiscard]] int bulk_total() const;
};

/// How an attempt fared, for the destination's window: only connection-level outcomes count.
enum class WindowFeedback { success, failure, none };

class PendingQueue {
 public:
  explicit PendingQueue(QueueLimits limits) : limits_(limits) {}
  void set_limits(QueueLimits limits) { limits_ = limits; }
  /// Puts aside what rests from now on, and takes up again what does no longer.
  void set_pauses(std::shared_ptr<const Pauses> pauses);

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
  void finished(const Ready& ready, WindowFeedback feedback);
  /// When the earliest waiting group comes due; nullopt: none waits.
  [[nodiscard]] std::optional<net::WallTime> next_due() const;

  /// Makes all groups that wait for a destination due now. Returns how many.
  std::size_t hasten_destination(const std::string& destination, net::WallTime now);
  /// Forgets groups that match and are not active. Returns how many.
  std::size_t forget(const std::function<bool(const Group&)>& matches);

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] std::size_t ready() const { return ready_; }
  [[nodiscard]] std::size_t active() const { return active_; }
  /// Due, but their destination rests.
  [[nodiscard]] std::size_t resting() const { return resting_.size(); }

 private:
  static constexpr std::size_t kClasses = 3;
  struct Destination {
    std::array<FairQueue, kClasses> ready;
    std::array<bool, kClasses> has_turn{};
    int active = 0;
    int active_bulk = 0;
    int limit = std::numeric_limits<int>::max();  ///< its own
    double window = kInitialWindow;
    [[nodiscard]] bool idle() const;
  };
  struct Waiting {
    Group group;
    std::string destination;
  };
  static constexpr double kInitialWindow = 5;
  /// Ready groups beyond this many are read back when their turn comes: bounds memory.
  static constexpr std::size_t kFreshEnvelopes = 5000;
  /// A class that could go is passed over by better ones this often, then it has a turn.
  static constexpr int kPatience = 8;

  void make_ready(Group group, const std::string& key);
  void give_turns(const std::string& key, Destination& destination);
  void wake(net::WallTime now);
  [[nodiscard]] bool may_start(const Destination& destination, std::size_t priority) const;
  /// Whether a class has a turn that is worth something now; others are given back.
  bool has_turn(std::size_t priority);
  std::optional<std::size_t> next_class();
  void take_ready(const std::function<bool(const Group&, const std::string&)>& matches,
                  const std::function<void(Group, const std::string&)>& taken);

  QueueLimits limits_;
  std::shared_ptr<const Pauses> pauses_ = std::make_shared<const Pauses>();
  std::multimap<net::WallTime, Waiting> waiting_;
  std::vector<Waiting> resting_;
  std::unordered_map<std::string, Destination> destinations_;
  std::unordered_map<std::string, int> limits_by_destination_;
  /// By class: destinations with ready groups of it.
  std::array<std::list<std::string>, kClasses> turns_;
  std::array<int, kClasses> passed_over_{};
  std::size_t ready_ = 0;
  std::size_t active_ = 0;
  std::size_t active_bulk_ = 0;
};

}  // namespace relay::delivery
