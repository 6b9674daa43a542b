// Groups that could be tried now: one of each sender in turn, each sender's own in order of
// arrival. Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <unordered_map>

#include "relay/delivery/group.h"

namespace relay::delivery {

class FairQueue {
 public:
  FairQueue() = default;
  // Its index points into its lines.
  FairQueue(const FairQueue&) = delete;
  FairQueue& operator=(const FairQueue&) = delete;
  ~FairQueue() = default;

  void push(Group group);
  /// The next one; there must be one.
  [[nodiscard]] Group pop();
  [[nodiscard]] bool empty() const { return lines_.empty(); }
  /// Hands every group that matches to taken. Answer: how many.
  std::size_t take_if(const std::function<bool(const Group&)>& matches,
                      const std::function<void(Group)>& taken);

 private:
  struct Line {
    std::size_t owner = 0;
    std::deque<Group> groups{};
  };

  std::list<Line> lines_;  ///< none is empty; the first one's turn is next
  std::unordered_map<std::size_t, std::list<Line>::iterator> by_owner_;
};

}  // namespace relay::delivery
