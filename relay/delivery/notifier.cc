#include "relay/delivery/notifier.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "relay/message/bulk.h"
#include "relay/smtp/ascii.h"

namespace relay::delivery {
namespace {

/// "451", "451 …": a reply, not a sentence of ours.
bool is_reply(std::string_view text) {
  return text.size() >= 3 && std::ranges::all_of(text.substr(0, 3), smtp::is_digit) &&
         (text.size() == 3 || text[3] == ' ');
}

/// The temporary enhanced code of a reply (RFC 2034 §3); "4.0.0" if it has none.
std::string enhanced_code(std::string_view reply) {
  smtp::next_word(reply);
  const std::string_view code = smtp::next_word(reply);
  const bool sound =
      code.starts_with("4.") && std::ranges::count(code, '.') == 2 && code.size() <= 9 &&
      std::ranges::all_of(code, [](char c) { return c == '.' || smtp::is_digit(c); });
  return sound ? std::string(code) : "4.0.0";
}

/// A recipient of another domain of the message, as its last attempt left it in the queue.
RecipientOutcome last_outcome(const spool::Recipient& recipient) {
  RecipientOutcome outcome;
  outcome.index = recipient.index;
  outcome.status = "4.0.0";
  outcome.text = recipient.attempts == 0 ? "it was not tried yet" : recipient.last_result;
  if (is_reply(outcome.text)) {
    outcome.remote_reply = outcome.text;
    outcome.status = enhanced_code(outcome.text);
  }
  return outcome;
}

}  // namespace

struct Notifier::Kind {
  std::string_view name;  ///< for the log
  NoticeSubject subject;
  std::atomic<std::uint64_t>& count;
};

void NoticeCounts::add_to(NoticeTotals& totals) const {
  totals.failed += failed;
  totals.delayed += delayed;
  totals.relayed += relayed;
  totals.double_bounces += double_bounces;
  totals.dropped_unwanted += dropped_unwanted;
  totals.dropped_null_sender += dropped_null_sender;
  totals.dropped_too_many += dropped_too_many;
}

Notifier::Notifier(const net::Clock& clock, spool::Spool& spool, spool::SpoolReader& reader,
                   Log& log, std::shared_ptr<NoticeLimit> limit)
    : clock_(clock),
      spool_(spool),
      reader_(reader),
      log_(log),
      limit_(limit != nullptr ? std::move(limit) : std::make_shared<NoticeLimit>()) {}

void Notifier::add(const spool::Envelope& envelope, SettledAttempt& settled,
                   const NoticeRules& rules) {
  add_failed(envelope, settled, rules);
  add_relayed(envelope, settled, rules);
  add_delayed(envelope, settled, rules);
}

void Notifier::add_failed(const spool::Envelope& envelope, SettledAttempt& settled,
                          const NoticeRules& rules) {
  std::vector<Fate> told;
  std::vector<Fate> bounced_twice;
  for (const Fate& fate : settled.fates) {
    switch (failure_reader(envelope, fate, rules.postmaster)) {
      case FailureReader::sender:
        told.push_back(fate);
        break;
      case FailureReader::postmaster:
        bounced_twice.push_back(fate);
        break;
      case FailureReader::unwanted:
        ++counts_.dropped_unwanted;
        drop(envelope, fate, "not wanted by the sender");
        break;
      case FailureReader::nobody:
        ++counts_.dropped_null_sender;
        drop(envelope, fate, "null sender");
        break;
      case FailureReader::not_failed:
        break;
    }
  }
  const auto tell = [&](const Kind& kind, const std::vector<Fate>& fates) {
    if (auto notice = fates.empty() ? std::nullopt : make(kind, envelope, fates, rules)) {
      settled.settlement.notices.push_back(std::move(*notice));
    }
  };
  tell({"failed",
        {message::Action::failed, message::Reader::sender, envelope.sender},
        counts_.failed},
       told);
  tell({"double-bounce",
        {message::Action::failed, message::Reader::postmaster, rules.postmaster},
        counts_.double_bounces},
       bounced_twice);
}

void Notifier::add_relayed(const spool::Envelope& envelope, SettledAttempt& settled,
                           const NoticeRules& rules) {
  std::vector<Fate> relayed;
  std::ranges::copy_if(settled.fates, std::back_inserter(relayed),
                       [&](const Fate& fate) { return wants_relayed_notice(envelope, fate); });
  if (relayed.empty()) {
    return;
  }
  const Kind kind{"relayed",
                  {message::Action::relayed, message::Reader::sender, envelope.sender},
                  counts_.relayed};
  if (auto notice = make(kind, envelope, relayed, rules)) {
    settled.settlement.notices.push_back(std::move(*notice));
  }
}

// One notice for the whole message (RFC 3461 §5.2.6: at most once), so that of the recipients in
// other domains it says what is known.
void Notifier::add_delayed(const spool::Envelope& envelope, SettledAttempt& settled,
                           const NoticeRules& rules) {
  const net::WallTime now = clock_.wall();
  const bool due = std::ranges::any_of(settled.fates, [&](const Fate& fate) {
    return wants_delay_notice(envelope, fate, rules.queue.warn_after, now);
  });
  if (!due || (!rules.notices.delayed_for_bulk &&
               message::is_bulk(original(envelope, rules.notices.return_size)))) {
    return;
  }
  const auto whole = reader_.envelope(envelope.id, "");
  if (!whole || !*whole || (**whole).delay_told) {
    return;
  }
  std::vector<RecipientOutcome> elsewhere;
  elsewhere.reserve((**whole).recipients.size());
  std::vector<Fate> fates;
  for (const spool::Recipient& recipient : (**whole).recipients) {
    const auto tried = std::ranges::find_if(
        settled.fates, [&](const Fate& fate) { return fate.recipient->index == recipient.index; });
    Fate fate;
    if (tried != settled.fates.end()) {
      fate = *tried;
    } else {
      fate.recipient = &recipient;
      fate.outcome = &elsewhere.emplace_back(last_outcome(recipient));
      fate.last_try = recipient.last_try;
      fate.expires = end_of_life(rules.queue, **whole, recipient.domain);
    }
    if (wants_delay_notice(envelope, fate, rules.queue.warn_after, now)) {
      fates.push_back(fate);
    }
  }
  if (fates.empty()) {
    return;  // an operator was faster
  }
  const Kind kind{"delayed",
                  {message::Action::delayed, message::Reader::sender, envelope.sender},
                  counts_.delayed};
  settled.settlement.delay_notice = make(kind, envelope, fates, rules);
}

std::optional<spool::Notice> Notifier::make(const Kind& kind, const spool::Envelope& envelope,
                                            std::span<const Fate> fates, const NoticeRules& rules) {
  if (!limit_->take(kind.subject.to, rules.notices.per_hour, clock_.steady())) {
    ++counts_.dropped_too_many;
    log_.warning("notice-dropped", {{"id", envelope.id.text()},
                                    {"kind", std::string(kind.name)},
                                    {"to", kind.subject.to},
                                    {"reason", "notices.per_hour"}});
    return std::nullopt;
  }
  spool::Notice notice = status_notice(
      kind.subject, envelope, fates, original(envelope, rules.notices.return_size),
      NoticeFacts{rules.hostname, spool_.new_id(), clock_.wall(), rules.queue.lifetime});
  ++kind.count;
  log_.info("notice", {{"id", notice.envelope.id.text()},
                       {"kind", std::string(kind.name)},
                       {"to", kind.subject.to},
                       {"about", envelope.id.text()},
                       {"size", std::to_string(notice.envelope.size)}});
  return notice;
}

void Notifier::drop(const spool::Envelope& envelope, const Fate& fate, std::string_view reason) {
  log_.warning("notice-dropped", {{"id", envelope.id.text()},
                                  {"kind", "failed"},
                                  {"to", fate.recipient->address},
                                  {"reason", std::string(reason)}});
}

std::string Notifier::original(const spool::Envelope& envelope, std::uint64_t most) {
  return returned_content(reader_, envelope.id, most);
}

std::string returned_content(spool::SpoolReader& reader, spool::MessageId id, std::uint64_t most) {
  std::string content;
  for (std::uint32_t n = 0; content.size() < most; ++n) {
    auto slice = reader.slice(id, n);
    if (!slice || !*slice) {
      break;
    }
    content += **slice;
  }
  if (content.size() > most) {
    content.resize(most);
  }
  return content;
}

}  // namespace relay::delivery
