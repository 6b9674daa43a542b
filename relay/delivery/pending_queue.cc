#include "relay/delivery/pending_queue.h"

#include <algorithm>
#include <utility>

namespace relay::delivery {

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
  if (turns_.empty() || active_ >= static_cast<std::size_t>(limits_.total)) {
    return std::nullopt;
  }
  std::string key = std::move(turns_.front());
  turns_.pop_front();
  Destination& destination = destinations_.at(key);
  destination.turn = Destination::Turn::none;
  Ready ready{std::move(destination.groups.front()), key};
  destination.groups.pop_front();
  --ready_;
  ++destination.active;
  ++active_;
  give_turn(key, destination);
  return ready;
}

void PendingQueue::finished(const std::string& key, WindowFeedback feedback) {
  const auto found = destinations_.find(key);
  if (found == destinations_.end()) {
    return;
  }
  Destination& destination = found->second;
  --destination.active;
  --active_;
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
  if (destination.groups.empty() && destination.active == 0) {
    destinations_.erase(found);
    return;
  }
  give_turn(key, destination);
}

std::optional<net::WallTime> PendingQueue::next_due() const {
  return waiting_.empty() ? std::nullopt : std::optional(waiting_.begin()->first);
}

std::size_t PendingQueue::hasten(spool::MessageId id, net::WallTime now) {
  return hasten_if([&](const Waiting& waiting) { return waiting.group.id == id; }, now);
}

std::size_t PendingQueue::hasten_destination(const std::string& destination, net::WallTime now) {
  return hasten_if([&](const Waiting& waiting) { return waiting.destination == destination; }, now);
}

template <class Chosen>
std::size_t PendingQueue::hasten_if(const Chosen& chosen, net::WallTime now) {
  std::vector<Waiting> found;
  for (auto entry = waiting_.begin(); entry != waiting_.end();) {
    if (chosen(entry->second)) {
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

std::size_t PendingQueue::forget(spool::MessageId id) {
  std::size_t count =
      std::erase_if(waiting_, [&](const auto& entry) { return entry.second.group.id == id; });
  for (auto& [key, destination] : destinations_) {
    const std::size_t gone =
        std::erase_if(destination.groups, [&](const Group& group) { return group.id == id; });
    ready_ -= gone;
    count += gone;
    if (gone > 0 && destination.groups.empty()) {
      turns_.remove(key);
      destination.turn = Destination::Turn::none;
    }
  }
  return count;
}

void PendingQueue::make_ready(Group group, const std::string& key) {
  if (ready_ >= kFreshEnvelopes) {
    group.envelope.reset();
  }
  Destination& destination = destinations_[key];
  destination.groups.push_back(std::move(group));
  ++ready_;
  give_turn(key, destination);
}

void PendingQueue::give_turn(const std::string& key, Destination& destination) {
  int window = std::min(static_cast<int>(destination.window), limits_.per_destination);
  if (const auto own = limits_by_destination_.find(key); own != limits_by_destination_.end()) {
    window = std::min(window, own->second);
  }
  if (destination.turn == Destination::Turn::none && !destination.groups.empty() &&
      destination.active < std::max(1, window)) {
    destination.turn = Destination::Turn::queued;
    turns_.push_back(key);
  }
}

void PendingQueue::wake(net::WallTime now) {
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    Waiting waiting = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    make_ready(std::move(waiting.group), waiting.destination);
  }
}

}  // namespace relay::delivery
