// The recipients of one attempt: who still waits for an outcome, and what one reply means for
// each (RFC 5321 §4.2.5, §4.5.3.1.10). Pure.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "relay/delivery/outcome.h"
#include "relay/delivery/troubles.h"
#include "relay/smtp/client_session.h"
#include "relay/spool/message.h"

namespace relay::delivery {

class PendingRecipients {
 public:
  /// Where a result came from.
  struct Place {
    std::string host, ip;
  };

  explicit PendingRecipients(std::shared_ptr<const spool::Envelope> envelope);

  /// Positions in the envelope without an outcome.
  [[nodiscard]] const std::vector<std::size_t>& positions() const { return pending_; }
  [[nodiscard]] bool empty() const { return pending_.empty(); }

  /// sent: the positions that the transaction was for, in its order. What another host might do
  /// better stays pending, its reason in troubles.
  void settle(const smtp::TransactionResult& transaction, const std::vector<std::size_t>& sent,
              const Place& place, Troubles& troubles);
  /// Whether some were refused only because there were too many in one transaction. Answers once.
  [[nodiscard]] bool take_send_again();
  enum class Ending { deferred, failed };
  /// Gives everyone who is left the same outcome.
  void finish(Ending ending, const std::string& status, const Trouble& trouble);
  [[nodiscard]] std::vector<RecipientOutcome> take_outcomes();

 private:
  void settle_one(std::size_t position, const smtp::RecipientResult& result, const Place& place,
                  Troubles& troubles);
  void add(std::size_t position, RecipientOutcome::Result result, std::string text,
           const smtp::RecipientResult& remote, const Place& place,
           Certainty certainty = Certainty::known);

  std::shared_ptr<const spool::Envelope> envelope_;
  std::vector<std::size_t> pending_;
  std::vector<std::size_t> send_again_;
  std::vector<RecipientOutcome> outcomes_;
};

}  // namespace relay::delivery
