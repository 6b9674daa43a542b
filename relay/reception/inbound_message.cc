// Inbound: one message into the spool, and its line in the log.
#include <algorithm>
#include <utility>

#include "relay/message/date_time.h"
#include "relay/message/trace_header.h"
#include "relay/reception/inbound.h"
#include "relay/spool/schedule.h"
#include "relay/staging/placement.h"

namespace relay::reception {
namespace {

constexpr std::size_t kMaxSlice = std::size_t{64} * 1024;

// Told only of the few messages that ask for something.
std::string asked_of_tls(const spool::Envelope& envelope) {
  return envelope.tls == smtp::MessageTls::normal ? std::string()
                                                  : std::string(smtp::name(envelope.tls));
}

std::vector<std::string> addresses(const smtp::ServerTransaction& transaction) {
  std::vector<std::string> given;
  given.reserve(transaction.recipients.size());
  for (const smtp::ServerRecipient& recipient : transaction.recipients) {
    given.push_back(recipient.address.text());
  }
  return given;
}

std::string listed(const std::vector<std::string>& addresses) {
  std::string text;
  for (const std::string& address : addresses) {
    if (text.size() > 512) {
      break;
    }
    text.append(text.empty() ? "" : ",").append(address);
  }
  return text;
}

spool::Priority stored_priority(conf::Priority priority) {
  switch (priority) {
    case conf::Priority::high:
      return spool::Priority::high;
    case conf::Priority::normal:
      break;
    case conf::Priority::bulk:
      return spool::Priority::bulk;
  }
  return spool::Priority::normal;
}

std::string shown(const std::string& sender) {
  return sender.empty() ? "<>" : sender;
}

}  // namespace

void Inbound::open_message() {
  const auto now = room();
  if (now == smtp::Room::available) {
    size_ = 0;
    message_ = parts_.spool.receive(parts_.loop);
    message_->set_drained([this] { steer_reading(); });
    append(received_header());
    append(staging_header());
    header_ = submission_header();
  }
  session_.opened(now);
}

std::string Inbound::received_header() const {
  const auto& transaction = session_.transaction();
  message::TraceFacts facts;
  if (!listener_.rules.hide_client) {
    facts.helo = session_.helo();
    facts.client = client_.literal;
  }
  facts.hostname = parts_.settings->hostname;
  facts.protocol = session_.protocol();
  facts.id = message_->id().text();
  if (transaction.recipients.size() == 1) {
    facts.for_recipient = transaction.recipients.front().address.text();
  }
  facts.time = parts_.clock.wall();
  if (tls_) {
    facts.tls = tls_->version + " with cipher " + tls_->cipher;
  }
  return message::received_header(facts);
}

std::string Inbound::staging_header() const {
  const auto& staging = parts_.settings->staging;
  return staging ? staging::header_fields(*staging, addresses(session_.transaction()))
                 : std::string();
}

std::optional<message::SubmissionHeader> Inbound::submission_header() const {
  const auto& rules = listener_.rules;
  if (!rules.add_missing_headers && rules.rewrite_senders.empty()) {
    return std::nullopt;
  }
  message::SubmissionFacts facts;
  facts.hostname = parts_.settings->hostname;
  if (rules.add_missing_headers) {
    facts.date = message::date_time(parts_.clock.wall());
    facts.message_id = "<" + message_->id().text() + "@" + facts.hostname + ">";
  }
  facts.rewrites = envelope_rules(rules, client_, session_.user()).rewrites;
  return message::SubmissionHeader(std::move(facts));
}

void Inbound::append_content(std::string_view content) {
  if (!header_) {
    append(content);
    return;
  }
  std::string passed;
  passed.reserve(content.size());
  header_->feed(content, passed);
  append(passed);
}

void Inbound::append(std::string_view content) {
  size_ += content.size();
  for (; !content.empty(); content.remove_prefix(std::min(content.size(), kMaxSlice))) {
    message_->append(std::string(content.substr(0, kMaxSlice)));
  }
}

spool::Priority Inbound::priority() const {
  const auto& users = parts_.settings->queue.users;
  const auto user = users.find(session_.user());
  return stored_priority(user != users.end() ? user->second.priority : listener_.rules.priority);
}

net::WallTime Inbound::first_try(const std::string& domain, const spool::Envelope& envelope) const {
  const conf::Queue& queue = parts_.settings->queue;
  const conf::QueueRule* const rule = conf::find_rule(queue.domains, domain);
  return spool::next_try(rule != nullptr && !rule->retry.empty() ? rule->retry : queue.retry,
                         {0, envelope.received_at, envelope.expires_at})
      .value_or(envelope.received_at);
}

spool::Envelope Inbound::envelope() const {
  const auto& transaction = session_.transaction();
  spool::Envelope envelope;
  envelope.id = message_->id();
  envelope.sender = transaction.sender;
  envelope.received_at = parts_.clock.wall();
  envelope.expires_at = envelope.received_at + parts_.settings->queue.lifetime;
  envelope.size = size_;
  envelope.eight_bit = transaction.eight_bit;
  envelope.smtputf8 = transaction.needs_smtputf8;
  envelope.tls = transaction.tls;
  envelope.ret = transaction.ret;
  envelope.envid = transaction.envid;
  envelope.client_ip = client_.name;
  envelope.client_helo = session_.helo();
  envelope.user = session_.user();
  envelope.listener = listener_.rules.address.text();
  envelope.priority = priority();
  for (const auto& recipient : transaction.recipients) {
    spool::Recipient stored;
    stored.index = static_cast<std::uint32_t>(envelope.recipients.size());
    stored.address = recipient.address.text();
    stored.domain = recipient.address.domain;
    stored.notify = recipient.notify;
    stored.orcpt = recipient.orcpt;
    stored.next_try = first_try(stored.domain, envelope);
    envelope.recipients.push_back(std::move(stored));
  }
  if (parts_.settings->staging) {
    staging::place(envelope, *parts_.settings->staging);
  }
  return envelope;
}

void Inbound::commit() {
  committing_ = true;
  if (header_) {
    std::string rest;
    header_->finish(rest);
    append(rest);
  }
  const std::size_t recipients = session_.transaction().recipients.size();
  parts_.clients.take(standing_, recipients,
                      [this](const Ruling& ruling) { store(envelope(), ruling); });
}

void Inbound::store(spool::Envelope whole, const Ruling& ruling) {
  if (ruling.what == Ruling::What::refused) {
    // Others of its connections have used up meanwhile what there was room for at MAIL.
    committing_ = false;
    message_.reset();
    session_.set_client_room({ruling.reason});
    session_.stored(smtp::Room::client_over, {});
    return;
  }
  if (ruling.what == Ruling::What::held) {
    whole.held = ruling.reason;
    whole.held_at = whole.received_at;
  }
  auto logged = whole;
  message_->commit(std::move(whole),
                   [this, logged = std::move(logged)](const spool::Stored<void>& result) {
                     committed(logged, result);
                   });
}

void Inbound::committed(const spool::Envelope& envelope, const spool::Stored<void>& result) {
  committing_ = false;
  message_.reset();
  auto outcome = smtp::Room::available;
  if (result) {
    log_accepted(envelope);
  } else {
    parts_.clients.give_back(standing_, session_.transaction().recipients.size());
    outcome = result.error().kind == spool::StoreFault::Kind::disk_full ? smtp::Room::disk_full
                                                                        : smtp::Room::store_failed;
    parts_.log.error("store-failed", {{"id", envelope.id.text()},
                                      {"client", client_.name},
                                      {"from", shown(envelope.sender)},
                                      {"detail", result.error().reason}});
  }
  if (!connection_) {
    finish();
    return;
  }
  touch();
  session_.stored(outcome, envelope.id.text());
  (void)pump();
}

void Inbound::log_accepted(const spool::Envelope& envelope) {
  if (!parts_.log.enabled(conf::LogLevel::info)) {
    return;
  }
  std::vector<std::string> to;
  to.reserve(envelope.recipients.size());
  for (const auto& recipient : envelope.recipients) {
    to.push_back(recipient.address);
  }
  const auto& staging = parts_.settings->staging;
  parts_.log.info("accepted",
                  {{"id", envelope.id.text()},
                   {"from", shown(envelope.sender)},
                   {"to", listed(to)},
                   {"original_to", staging ? listed(addresses(session_.transaction())) : ""},
                   {"staging", staging ? staging->modes() : ""},
                   {"recipients", std::to_string(envelope.recipients.size())},
                   {"client", client_.name},
                   {"user", session_.user()},
                   {"certificate", certificate_},
                   {"helo", envelope.client_helo},
                   {"protocol", std::string(session_.protocol())},
                   {"cipher", tls_ ? tls_->version + " " + tls_->cipher : ""},
                   {"size", std::to_string(envelope.size)},
                   {"held", envelope.held},
                   {"tls", asked_of_tls(envelope)}});
}

}  // namespace relay::reception
