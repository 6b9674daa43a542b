#include "relay/delivery/group.h"

#include <functional>

#include "relay/spool/occupancy.h"

namespace relay::delivery {

Group group_of(const std::shared_ptr<const spool::Envelope>& envelope, const std::string& domain) {
  return {envelope->id, domain, envelope, envelope->priority,
          std::hash<std::string>{}(spool::owner_of(envelope->user, envelope->sender))};
}

Group group_of(const spool::PendingGroup& pending) {
  return {pending.id, pending.domain, nullptr, pending.priority,
          std::hash<std::string>{}(pending.owner)};
}

}  // namespace relay::delivery
