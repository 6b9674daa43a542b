#include "relay/delivery/dead_addresses.h"

#include <utility>
#include <variant>

namespace relay::delivery {
namespace {

/// A mark from the future is from before the clock was set back, and would last for as long as
/// that.
bool holds(const DeadAddresses::Mark& mark, net::WallTime now) {
  return mark.since <= now && now < mark.until;
}

}  // namespace

void DeadAddresses::failed(const net::SocketAddress& address, Mark mark) {
  const net::WallTime now = mark.since;
  if (mark.until <= now) {
    return;
  }
  if (marks_.size() >= kMost) {
    std::erase_if(marks_, [now](const auto& each) { return !holds(each.second, now); });
  }
  if (marks_.size() < kMost || marks_.contains(address)) {
    marks_.insert_or_assign(address, std::move(mark));
  }
}

std::optional<DeadAddresses::Mark> DeadAddresses::find(const net::SocketAddress& address,
                                                       net::WallTime now) const {
  const auto found = marks_.find(address);
  return found != marks_.end() && holds(found->second, now) ? std::optional(found->second)
                                                            : std::nullopt;
}

Reachability reachability(const ConversationReport& report) {
  if (const auto* failed = std::get_if<ConnectFailed>(&report)) {
    return failed->cause == ConnectFailed::Cause::own
               ? Reachability{}
               : Reachability{Reachability::Kind::not_reached, failed->reason};
  }
  const auto& session = std::get<SessionUsed>(report);
  if (!session.end) {
    return {Reachability::Kind::reached};
  }
  const smtp::SessionEnd& end = *session.end;
  const bool silent =
      end.kind == smtp::SessionEnd::Kind::timeout || end.kind == smtp::SessionEnd::Kind::lost;
  if (end.stage > smtp::Stage::ehlo && !silent) {
    return {Reachability::Kind::reached};
  }
  // With implicit TLS a handshake has gone before, and after STARTTLS an EHLO.
  if (end.stage <= smtp::Stage::ehlo && silent && !session.tls &&
      session.origin == SessionUsed::Origin::opened) {
    return {Reachability::Kind::not_reached,
            end.detail.substr(0, end.detail.find_last_not_of('.') + 1)};
  }
  return {};
}

}  // namespace relay::delivery
