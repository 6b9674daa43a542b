#include "relay/delivery/operator_bounce.h"

#include <utility>
#include <vector>

#include "relay/delivery/settlement.h"

namespace relay::delivery {

spool::Settlement operator_bounce(const spool::Envelope& envelope, const std::string& reason,
                                  const std::string& original, const NoticeFacts& facts) {
  // RFC 3463 §3.4: other or undefined mail system status.
  const Finished end = end_for_all(
      envelope,
      {Undeliverable::Kind::permanent, "5.3.0",
       reason.empty() ? "the postmaster of " + facts.hostname + " returned it"
                      : "the postmaster of " + facts.hostname + " returned it, saying: " + reason});
  SettledAttempt settled = settle(envelope, end, {{}, envelope.expires_at}, facts.now);
  std::vector<Fate> reported;
  for (const Fate& fate : settled.fates) {
    if (failure_reader(envelope, fate, "") == FailureReader::sender) {
      reported.push_back(fate);
    }
  }
  if (!reported.empty()) {
    settled.settlement.notices.push_back(
        status_notice({message::Action::failed, message::Reader::sender, envelope.sender}, envelope,
                      reported, original, facts));
  }
  return std::move(settled.settlement);
}

}  // namespace relay::delivery
