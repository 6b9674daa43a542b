#include "relay/delivery/dispatcher.h"

#include <functional>
#include <set>

#include "relay/staging/placement.h"

namespace relay::delivery {

std::size_t Dispatcher::owner(const std::vector<conf::Route>& routes, const std::string& domain,
                              std::size_t count) {
  auto found = next_hop(routes, staging::true_domain(domain), 0);
  const auto* hop = std::get_if<NextHop>(&found);
  if (hop == nullptr) {
    return std::hash<std::string>{}(domain) % count;
  }
  const auto policy_domain = hop->policy_domain();
  return std::hash<std::string>{}(policy_domain ? policy_domain->text() : hop->key()) % count;
}

const Dispatcher::Place& Dispatcher::place_of(const std::string& domain) const {
  return places_[owner(routes_, domain, places_.size())];
}

void Dispatcher::stored(const std::shared_ptr<const spool::Envelope>& envelope) {
  std::set<std::string> domains;
  for (const spool::Recipient& recipient : envelope->recipients) {
    if (domains.insert(recipient.domain).second) {
      const Place& place = place_of(recipient.domain);
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
