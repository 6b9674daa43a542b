#include "relay/delivery/pending_recipients.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace relay::delivery {
namespace {

using Result = RecipientOutcome::Result;

std::string reply_or_detail(const smtp::RecipientResult& result) {
  return result.reply ? result.reply->text() : result.detail;
}

}  // namespace

PendingRecipients::PendingRecipients(std::shared_ptr<const spool::Envelope> envelope)
    : envelope_(std::move(envelope)), pending_(envelope_->recipients.size()) {
  std::iota(pending_.begin(), pending_.end(), std::size_t{0});
}

void PendingRecipients::settle(const smtp::TransactionResult& transaction,
                               const std::vector<std::size_t>& sent, const Place& place,
                               Troubles& troubles) {
  const std::size_t count = std::min(sent.size(), transaction.recipients.size());
  for (std::size_t i = 0; i < count; ++i) {
    settle_one(sent[i], transaction.recipients[i], place, troubles);
    if (transaction.dsn && !outcomes_.empty() &&
        outcomes_.back().index == envelope_->recipients[sent[i]].index) {
      outcomes_.back().dsn = DsnHandover::passed_on;
    }
  }
  const bool progress = std::any_of(sent.begin(), sent.end(), [&](std::size_t position) {
    return std::find(pending_.begin(), pending_.end(), position) == pending_.end();
  });
  if (!progress) {
    // Not one recipient is settled: sending the same list again would go on for ever.
    const std::vector<std::size_t> refused = std::exchange(send_again_, {});
    for (std::size_t i = 0; i < count; ++i) {
      if (std::find(refused.begin(), refused.end(), sent[i]) != refused.end()) {
        add(sent[i], Result::deferred, reply_or_detail(transaction.recipients[i]),
            transaction.recipients[i], place);
      }
    }
  }
}

void PendingRecipients::settle_one(std::size_t position, const smtp::RecipientResult& result,
                                   const Place& place, Troubles& troubles) {
  const std::string text = reply_or_detail(result);
  switch (result.disposition) {
    case smtp::Disposition::delivered:
      add(position, Result::delivered, text, result, place);
      return;
    case smtp::Disposition::rejected:
      add(position, Result::failed, text, result, place);
      return;
    case smtp::Disposition::unknown:
      // RFC 1047: the server may have taken the message; trying another host would be worse.
      add(position, Result::deferred, text + "; the message may have been delivered", result, place,
          Certainty::maybe_delivered);
      return;
    case smtp::Disposition::deferred:
      if (result.too_many) {
        send_again_.push_back(position);
      } else if (result.stage == smtp::Stage::rcpt) {
        add(position, Result::deferred, text, result, place);
      } else {
        troubles.add({Trouble::Kind::temporary, result.enhanced_code, text, place.host, place.ip,
                      result.reply});
      }
      return;
    case smtp::Disposition::unsuitable:
      troubles.add({Trouble::Kind::unsuitable, result.enhanced_code, text, place.host, place.ip,
                    result.reply});
      return;
    case smtp::Disposition::not_tried:
      return;
  }
}

bool PendingRecipients::take_send_again() {
  return !std::exchange(send_again_, {}).empty();
}

void PendingRecipients::finish(Ending ending, const std::string& status, const Trouble& trouble) {
  for (const std::size_t position : std::exchange(pending_, {})) {
    RecipientOutcome outcome;
    outcome.index = envelope_->recipients[position].index;
    outcome.result = ending == Ending::failed ? Result::failed : Result::deferred;
    outcome.status = status;
    outcome.text = trouble.text;
    outcome.host = trouble.host;
    outcome.ip = trouble.ip;
    outcome.remote_reply = trouble.reply ? trouble.reply->text() : std::string{};
    outcome.finality = Finality::undecided;
    outcomes_.push_back(std::move(outcome));
  }
}

std::vector<RecipientOutcome> PendingRecipients::take_outcomes() {
  return std::exchange(outcomes_, {});
}

void PendingRecipients::add(std::size_t position, Result result, std::string text,
                            const smtp::RecipientResult& remote, const Place& place,
                            Certainty certainty) {
  std::erase(pending_, position);
  outcomes_.push_back({envelope_->recipients[position].index, result, remote.enhanced_code,
                       std::move(text), place.host, place.ip,
                       remote.reply ? remote.reply->text() : std::string{}, certainty});
}

}  // namespace relay::delivery
