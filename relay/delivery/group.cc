#include "relay/delivery/group.h"

#include <functional>

#include "relay/spool/occupancy.h"
#include "relay/staging/placement.h"

namespace relay::delivery {

Group group_of(const std::shared_ptr<const spool::Envelope>& envelope, const std::string& domain) {
  return {envelope->id, domain, envelope, envelope->priority,
          std::hash<std::string>{}(spool::owner_of(envelope->user, envelope->sender))};
}

Group group_of(const spool::PendingGroup& pending) {
  return {pending.id, pending.domain, nullptr, pending.priority,
          std::hash<std::string>{}(pending.owner)};
}

MailPath path_of(const spool::Envelope& envelope, const std::string& domain) {
  return {staging::true_domain(domain), envelope.sender, envelope.listener};
}

MailPath path_of(const spool::PendingGroup& pending) {
  return {staging::true_domain(pending.domain), pending.sender, pending.listener};
}

}  // namespace relay::delivery
