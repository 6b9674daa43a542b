// ServerSession's envelope: MAIL and RCPT.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"
#include "relay/smtp/server_session.h"

namespace relay::smtp {

void ServerSession::reset() {
  lose_receiving();
  mail_given_ = false;
  smtputf8_ = false;
  in_bdat_ = false;
  transaction_ = {};
  known_recipients_.clear();
  surplus_recipients_ = 0;
}

void ServerSession::on_mail(const Command& command) {
  if (helo_.empty()) {
    refuse("MAIL", {503, "5.5.1", "EHLO or HELO first"});
    return;
  }
  if (mail_given_) {
    refuse("MAIL", {503, "5.5.1", "A transaction is in progress"});
    return;
  }
  if (settings_.authentication == Authentication::required) {
    if (const auto refusal = missing_authentication()) {
      refuse("MAIL", *refusal);
      return;
    }
  }
  auto mail = parse_mail(command.argument);
  if (!mail) {
    refuse("MAIL", mail.error());
    return;
  }
  mail_given_ = true;
  smtputf8_ = mail->smtputf8;
  transaction_.sender = mail->sender ? mail->sender->text() : std::string();
  if (settings_.relaying == Relaying::allowed) {
    transaction_.sender = rewritten(settings_.envelope.rewrites, transaction_.sender);
  }
  transaction_.declared_size = mail->size.value_or(0);
  transaction_.ret = std::move(mail->ret);
  transaction_.envid = std::move(mail->envid);
  transaction_.needs_smtputf8 =
      !std::all_of(transaction_.sender.begin(), transaction_.sender.end(), is_ascii);
  transaction_.tls = mail->requiretls ? MessageTls::required : MessageTls::normal;
  if (const auto refusal = unacceptable_transaction()) {
    refuse("MAIL", *refusal);
    reset();
  } else {
    demand_ = Demand::check_room;
  }
}

std::optional<Refusal> ServerSession::unacceptable_transaction() const {
  if (transaction_.tls == MessageTls::required && settings_.security != Security::tls) {
    // RFC 8689 §2: the session itself must employ TLS, or the promise is broken already.
    return Refusal{530, "5.7.10", "REQUIRETLS can be asked for only inside TLS"};
  }
  const auto most = settings_.content.message_size;
  if (transaction_.declared_size > most) {
    return Refusal{552, "5.3.4", fmt::format("Message larger than {} octets", most)};
  }
  if (transaction_.needs_smtputf8 && !smtputf8_) {
    // RFC 6531 §3.5.
    return Refusal{553, "5.6.7", "A non-ASCII address needs SMTPUTF8"};
  }
  if (settings_.relaying == Relaying::allowed &&
      !permits(settings_.envelope.senders, transaction_.sender)) {
    return Refusal{
        550, "5.7.1",
        fmt::format("You may not send as {}: use an address of your own, or ask the "
                    "administrator of {} to allow this one",
                    transaction_.sender.empty() ? "<>" : transaction_.sender, settings_.hostname)};
  }
  return std::nullopt;
}

/// What a client is told where there is no room; not for available and store_failed.
Refusal ServerSession::refusal_of(Room room) const {
  switch (room) {
    case Room::queue_full:
      return {452, "4.3.1", "The queue is full, try again later"};
    case Room::sender_full:
      return {452, "4.3.1", "Too much mail of this sender waits here already, try again later"};
    case Room::client_over:
      return {450, "4.7.1", client_room_.refusal};
    case Room::disk_full:
    case Room::available:
    case Room::store_failed:
      break;
  }
  return {452, "4.3.1", "Insufficient system storage"};
}

void ServerSession::checked(Room room) {
  if (demand_ != Demand::check_room) {
    return;
  }
  demand_ = Demand::read;
  switch (room) {
    case Room::available:
      reply("250 2.1.0 Ok");
      break;
    case Room::disk_full:
    case Room::queue_full:
    case Room::sender_full:
    case Room::client_over: {
      const auto text = coded(refusal_of(room));
      note({"MAIL", {}, {}, text, {}});
      reply(text);
      reset();
      break;
    }
    case Room::store_failed:
      store_failed("MAIL");
      return;
  }
  process();
}

void ServerSession::on_rcpt(const Command& command) {
  if (!mail_given_ || in_bdat_) {
    refuse("RCPT", {503, "5.5.1", mail_given_ ? "BDAT is in progress" : "MAIL first"});
    return;
  }
  auto rcpt = parse_rcpt(command.argument, smtputf8_ ? Utf8Allowed::yes : Utf8Allowed::no);
  if (!rcpt) {
    refuse("RCPT", rcpt.error());
    return;
  }
  auto address = rcpt->recipient.text();
  if (const auto refusal = unacceptable_recipient(rcpt->recipient)) {
    refuse("RCPT", *refusal, std::move(address));
  } else if (!simulate(*rcpt)) {
    accept_recipient(*std::move(rcpt));
  }
}

void ServerSession::accept_recipient(RcptCommand rcpt) {
  auto address = rcpt.recipient.text();
  if (const auto surplus = add_recipient(std::move(rcpt))) {
    refuse_surplus(*surplus, std::move(address));
  } else {
    reply("250 2.1.5 Ok");
  }
}

std::optional<Refusal> ServerSession::unacceptable_recipient(const Address& recipient) const {
  if (settings_.relaying == Relaying::denied) {
    return missing_authentication().value_or(Refusal{550, "5.7.1", "Relaying denied"});
  }
  if (recipient.literal) {
    return Refusal{550, "5.1.2", "No mail to address literals"};
  }
  if (recipient.utf8 && !smtputf8_) {
    return Refusal{553, "5.6.7", "A non-ASCII address needs SMTPUTF8"};
  }
  if (!permits(settings_.envelope.recipients, recipient.text())) {
    return Refusal{550, "5.7.1",
                   fmt::format("You may not send to this address: leave it out, or ask the "
                               "administrator of {} to allow it",
                               settings_.hostname)};
  }
  return std::nullopt;
}

// RFC 5321 §4.5.3.1.10: no error of the client's, it sends the rest in a new transaction; but one
// that goes on and on does not listen.
void ServerSession::refuse_surplus(const Refusal& surplus, std::string address) {
  if (++surplus_recipients_ > settings_.recipients) {
    refuse("RCPT", surplus, std::move(address));
    return;
  }
  note({"RCPT", {}, std::move(address), coded(surplus), {}});
  reply(coded(surplus));
}

// A repeated recipient collapses into the first.
std::optional<Refusal> ServerSession::add_recipient(RcptCommand rcpt) {
  auto text = rcpt.recipient.text();
  if (known_recipients_.contains(text)) {
    return std::nullopt;
  }
  if (transaction_.recipients.size() >= settings_.recipients) {
    return Refusal{452, "4.5.3", "Too many recipients"};
  }
  if (transaction_.recipients.size() >= client_room_.recipients) {
    return Refusal{450, "4.7.1", client_room_.recipients_refusal};
  }
  known_recipients_.insert(std::move(text));
  transaction_.needs_smtputf8 =
      transaction_.needs_smtputf8 || rcpt.recipient.utf8 || rcpt.orcpt_utf8;
  transaction_.recipients.push_back(
      {std::move(rcpt.recipient), std::move(rcpt.notify), std::move(rcpt.orcpt)});
  return std::nullopt;
}

}  // namespace relay::smtp
