// Carries the recipients of one attempt from one upstream to the next: what another might do better
// goes on, what the server said of a recipient or took over stays. Pure.
#pragma once

#include <map>
#include <memory>

#include "relay/delivery/attempt.h"
#include "relay/spool/message.h"

namespace relay::delivery {

class Failover {
 public:
  explicit Failover(std::shared_ptr<const spool::Envelope> envelope)
      : envelope_(std::move(envelope)) {}

  /// Takes what one way has brought. Answer: the message with those for whom another may do better;
  /// null: there are none.
  [[nodiscard]] std::shared_ptr<const spool::Envelope> next(Finished finished);
  /// Everything together; every recipient of the envelope has exactly one outcome.
  [[nodiscard]] Finished take();

 private:
  std::shared_ptr<const spool::Envelope> envelope_;
  Finished total_;
  std::map<std::uint32_t, RecipientOutcome> undecided_;  ///< by the recipient's index
};

}  // namespace relay::delivery
