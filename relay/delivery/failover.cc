#include "relay/delivery/failover.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace relay::delivery {
namespace {

using Result = RecipientOutcome::Result;

template <class T>
void append(std::vector<T>& to, std::vector<T> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

/// Two words about one recipient: failed for good only if both say so.
RecipientOutcome both(const RecipientOutcome& earlier, RecipientOutcome later) {
  later.text = earlier.text + "; then " + later.text;
  if (later.result == Result::failed && earlier.result == Result::deferred) {
    later.result = Result::deferred;
    later.status = earlier.status;
  }
  return later;
}

}  // namespace

std::shared_ptr<const spool::Envelope> Failover::next(Finished finished) {
  append(total_.sessions, std::move(finished.sessions));
  append(total_.would_refuse, std::move(finished.would_refuse));
  total_.pause = std::max(total_.pause, finished.pause);
  std::map<std::uint32_t, RecipientOutcome> undecided;
  for (RecipientOutcome& outcome : finished.outcomes) {
    if (outcome.finality == Finality::decided) {
      total_.outcomes.push_back(std::move(outcome));
      continue;
    }
    const auto earlier = undecided_.find(outcome.index);
    const std::uint32_t index = outcome.index;
    undecided.emplace(index, earlier == undecided_.end()
                                 ? std::move(outcome)
                                 : both(earlier->second, std::move(outcome)));
  }
  undecided_ = std::move(undecided);
  if (undecided_.empty()) {
    return nullptr;
  }
  auto rest = std::make_shared<spool::Envelope>(*envelope_);
  std::erase_if(rest->recipients, [&](const spool::Recipient& recipient) {
    return !undecided_.contains(recipient.index);
  });
  return rest;
}

Finished Failover::take() {
  total_.outcomes.reserve(total_.outcomes.size() + undecided_.size());
  for (auto& [index, outcome] : undecided_) {
    total_.outcomes.push_back(std::move(outcome));
  }
  undecided_.clear();
  return std::move(total_);
}

}  // namespace relay::delivery
