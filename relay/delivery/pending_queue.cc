#include "relay/delivery/pending_queue.h"

#include <algorithm>
#include <utility>

namespace relay::delivery {
namespace {

constexpr auto kBulk = static_cast<std::size_t>(spool::Priority::bulk);

std::size_t class_of(const Group& group) {
  return static_cast<std::size_t>(group.priority);
}

}  // namespace

int QueueLimits::bulk_total() const {
  return std::max(1, total - std::max(1, total / 4));
}

bool PendingQueue::Destination::idle() const {
  return active == 0 && std::ranges::all_of(ready, &FairQueue::empty);
}

void PendingQueue::set_pauses(std::shared_ptr<const Pauses> pauses) {
  pauses_ = std::move(pauses);
  std::vector<Waiting> rested = std::exchange(resting_, {});
  take_ready([this](const Group& group,
                    const std::string& key) { return pauses_->find(group.domain, key) != nullptr; },
             [this](Group group, const std::string& key) {
               group.envelope.reset();
               resting_.push_back({std::move(group), key});
             });
  for (Waiting& each : rested) {
    make_ready(std::move(each.group), each.destination);
  }
}

void PendingQueue::add(Group group, std::string destination, net::WallTime next_try,
                       net::WallTime now) {
  if (next_try <= now) {
    make_ready(std::move(group), destination);
    return;
  }
  group.envelope.reset();  // It may wait for hours; the spool has it.
  waiting_.emplace(next_try, Waiting{std::move(group), std::move(destination)});
}

std::optional<PendingQueue::Ready> PendingQueue::next(net::WallTime now) {
  wake(now);
  const auto priority = next_class();
  if (!priority) {
    return std::nullopt;
  }
  std::string key = std::move(turns_.at(*priority).front());
  turns_.at(*priority).pop_front();
  Destination& destination = destinations_.at(key);
  destination.has_turn.at(*priority) = false;
  Ready ready{destination.ready.at(*priority).pop(), key};
  --ready_;
  ++destination.active;
  ++active_;
  if (*priority == kBulk) {
    ++destination.active_bulk;
    ++active_bulk_;
  }
  give_turns(key, destination);
  return ready;
}

void PendingQueue::finished(const Ready& ready, WindowFeedback feedback) {
  const auto found = destinations_.find(ready.destination);
  if (found == destinations_.end()) {
    return;
  }
  Destination& destination = found->second;
  --destination.active;
  --active_;
  if (class_of(ready.group) == kBulk) {
    --destination.active_bulk;
    --active_bulk_;
  }
  switch (feedback) {
    case WindowFeedback::success:
      destination.window =
          std::min<double>(destination.window + 1 / destination.window, limits_.per_destination);
      break;
    case WindowFeedback::failure:
      destination.window = std::max(1.0, destination.window - 1 / destination.window);
      break;
    case WindowFeedback::none:
      break;
  }
  if (destination.idle()) {
    destinations_.erase(found);
    return;
  }
  give_turns(ready.destination, destination);
}

std::optional<net::WallTime> PendingQueue::next_due() const {
  return waiting_.empty() ? std::nullopt : std::optional(waiting_.begin()->first);
}

std::size_t PendingQueue::hasten_destination(const std::string& destination, net::WallTime now) {
  std::vector<Waiting> found;
  for (auto entry = waiting_.begin(); entry != waiting_.end();) {
    if (entry->second.destination == destination) {
      found.push_back(std::move(entry->second));
      entry = waiting_.erase(entry);
    } else {
      ++entry;
    }
  }
  for (Waiting& waiting : found) {
    add(std::move(waiting.group), std::move(waiting.destination), now, now);
  }
  return found.size();
}

std::size_t PendingQueue::forget(const std::function<bool(const Group&)>& matches) {
  const auto of_waiting = [&](const Waiting& each) { return matches(each.group); };
  std::size_t count =
      std::erase_if(waiting_, [&](const auto& entry) { return of_waiting(entry.second); });
  count += std::erase_if(resting_, of_waiting);
  take_ready([&](const Group& group, const std::string& /*key*/) { return matches(group); },
             [&](const Group& /*group*/, const std::string& /*key*/) { ++count; });
  return count;
}

void PendingQueue::take_ready(const std::function<bool(const Group&, const std::string&)>& matches,
                              const std::function<void(Group, const std::string&)>& taken) {
  for (auto entry = destinations_.begin(); entry != destinations_.end();) {
    const std::string& key = entry->first;
    for (std::size_t priority = 0; priority < kClasses; ++priority) {
      FairQueue& queue = entry->second.ready.at(priority);
      ready_ -= queue.take_if([&](const Group& group) { return matches(group, key); },
                              [&](Group group) { taken(std::move(group), key); });
      if (queue.empty() && std::exchange(entry->second.has_turn.at(priority), false)) {
        turns_.at(priority).remove(key);
      }
    }
    entry = entry->second.idle() ? destinations_.erase(entry) : std::next(entry);
  }
}

void PendingQueue::make_ready(Group group, const std::string& key) {
  if (pauses_->find(group.domain, key) != nullptr) {
    group.envelope.reset();
    resting_.push_back({std::move(group), key});
    return;
  }
  if (ready_ >= kFreshEnvelopes) {
    group.envelope.reset();
  }
  Destination& destination = destinations_[key];
  if (const auto own = limits_by_destination_.find(key); own != limits_by_destination_.end()) {
    destination.limit = own->second;
  }
  FairQueue& line = destination.ready.at(class_of(group));
  line.push(std::move(group));
  ++ready_;
  give_turns(key, destination);
}

bool PendingQueue::may_start(const Destination& destination, std::size_t priority) const {
  const int most = std::min(limits_.per_destination, destination.limit);
  const int window = std::max(1, std::min(static_cast<int>(destination.window), most));
  if (priority == kBulk) {
    return destination.active < std::max(1, window - 1);
  }
  // Where all that is under way is bulk, other mail may go beyond the window by one.
  const bool only_bulk = destination.active == destination.active_bulk;
  return destination.active < window ||
         (only_bulk && destination.active < std::min(window + 1, most));
}

void PendingQueue::give_turns(const std::string& key, Destination& destination) {
  for (std::size_t priority = 0; priority < kClasses; ++priority) {
    bool& queued = destination.has_turn.at(priority);
    if (!queued && !destination.ready.at(priority).empty() && may_start(destination, priority)) {
      queued = true;
      turns_.at(priority).push_back(key);
    }
  }
}

bool PendingQueue::has_turn(std::size_t priority) {
  std::list<std::string>& turns = turns_.at(priority);
  if (priority == kBulk && active_bulk_ >= static_cast<std::size_t>(limits_.bulk_total())) {
    return false;
  }
  while (!turns.empty()) {
    Destination& destination = destinations_.at(turns.front());
    if (may_start(destination, priority)) {
      return true;
    }
    // Others filled its window meanwhile; finished() gives the turn again.
    destination.has_turn.at(priority) = false;
    turns.pop_front();
  }
  return false;
}

std::optional<std::size_t> PendingQueue::next_class() {
  if (active_ >= static_cast<std::size_t>(limits_.total)) {
    return std::nullopt;
  }
  std::optional<std::size_t> chosen;
  for (std::size_t priority = 0; priority < kClasses; ++priority) {
    if (has_turn(priority) && (!chosen || passed_over_.at(priority) >= kPatience)) {
      chosen = priority;
    }
  }
  if (chosen) {
    for (std::size_t priority = *chosen + 1; priority < kClasses; ++priority) {
      passed_over_.at(priority) += turns_.at(priority).empty() ? 0 : 1;
    }
    passed_over_.at(*chosen) = 0;
  }
  return chosen;
}

void PendingQueue::wake(net::WallTime now) {
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    Waiting waiting = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    make_ready(std::move(waiting.group), waiting.destination);
  }
}

}  // namespace relay::delivery
