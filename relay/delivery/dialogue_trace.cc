#include "relay/delivery/dialogue_trace.h"

namespace relay::delivery {

void DialogueTrace::start(const std::string& subject, net::SteadyTime until) {
  const std::lock_guard lock(mutex_);
  until_[subject] = until;
  subjects_ = until_.size();
  lines_ = 0;
}

bool DialogueTrace::wants(const std::string& id, const std::string& domain, net::SteadyTime now) {
  if (subjects_ == 0) {
    return false;
  }
  const std::lock_guard lock(mutex_);
  std::erase_if(until_, [now](const auto& entry) { return entry.second <= now; });
  subjects_ = until_.size();
  return until_.contains(id) || until_.contains(domain);
}

DialogueTrace::Line DialogueTrace::take_line() {
  const std::size_t taken = ++lines_;
  if (taken > kMostLines) {
    return Line::none;
  }
  return taken == kMostLines ? Line::last : Line::taken;
}

}  // namespace relay::delivery
