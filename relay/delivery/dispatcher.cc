#include "relay/delivery/dispatcher.h"

#include <functional>
#include <set>

namespace relay::delivery {

std::size_t Dispatcher::owner(const std::vector<conf::Route>& routes, const MailPath& path,
                              std::size_t count) {
  const auto found = next_hops(routes, path, 0);
  const auto* hops = std::get_if<std::vector<NextHop>>(&found);
  if (hops == nullptr) {
    return std::hash<std::string>{}(path.domain) % count;
  }
  const NextHop& first = hops->front();
  const auto policy_domain = first.policy_domain();
  return std::hash<std::string>{}(policy_domain ? policy_domain->text() : first.key()) % count;
}

const Dispatcher::Place& Dispatcher::place_of(const MailPath& path) const {
  return places_[owner(routes_, path, places_.size())];
}

void Dispatcher::stored(const std::shared_ptr<const spool::Envelope>& envelope) {
  std::set<std::string> domains;
  for (const spool::Recipient& recipient : envelope->recipients) {
    if (domains.insert(recipient.domain).second) {
      const Place& place = place_of({recipient.domain, envelope->sender});
      place.loop->post([worker = place.worker, envelope, domain = recipient.domain] {
        worker->add(envelope, domain);
      });
    }
  }
}

void Dispatcher::retry_now(spool::MessageId id) {
  for (const Place& place : places_) {
    place.loop->post([worker = place.worker, id] { worker->retry_now(id); });
  }
}

void Dispatcher::forget(spool::MessageId id) {
  for (const Place& place : places_) {
    place.loop->post([worker = place.worker, id] { worker->forget(id); });
  }
}

}  // namespace relay::delivery
