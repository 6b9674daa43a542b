#include "relay/delivery/fair_queue.h"

#include <utility>

namespace relay::delivery {

void FairQueue::push(Group group) {
  const std::size_t owner = group.owner;
  auto found = by_owner_.find(owner);
  if (found == by_owner_.end()) {
    found = by_owner_.emplace(owner, lines_.insert(lines_.end(), Line{owner})).first;
  }
  found->second->groups.push_back(std::move(group));
}

Group FairQueue::pop() {
  Line& line = lines_.front();
  Group group = std::move(line.groups.front());
  line.groups.pop_front();
  if (line.groups.empty()) {
    by_owner_.erase(line.owner);
    lines_.pop_front();
  } else {
    lines_.splice(lines_.end(), lines_, lines_.begin());
  }
  return group;
}

std::size_t FairQueue::take_if(const std::function<bool(const Group&)>& matches,
                               const std::function<void(Group)>& taken) {
  std::size_t count = 0;
  for (auto line = lines_.begin(); line != lines_.end();) {
    std::deque<Group> kept;
    for (Group& group : line->groups) {
      if (matches(group)) {
        ++count;
        taken(std::move(group));
      } else {
        kept.push_back(std::move(group));
      }
    }
    line->groups = std::move(kept);
    if (line->groups.empty()) {
      by_owner_.erase(line->owner);
      line = lines_.erase(line);
    } else {
      ++line;
    }
  }
  return count;
}

}  // namespace relay::delivery
