// ClientSession's mail transactions, first part: what is said, and what is not even begun.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"
#include "relay/smtp/client_session.h"

namespace relay::smtp {
namespace {

// RFC 2920 §3.1: more than the peer reads before it answers could leave both sides writing.
constexpr std::size_t kBatchCommands = 100;
constexpr std::size_t kBatchOctets = std::size_t{32} * 1024;

// A control character would let an address say a command of its own.
bool sendable(std::string_view text) {
  return std::none_of(text.begin(), text.end(), is_control);
}

bool sendable(const ClientRecipient& recipient) {
  return !recipient.address.empty() && sendable(recipient.address) && sendable(recipient.notify) &&
         sendable(recipient.orcpt);
}

}  // namespace

void ClientSession::begin(ClientTransaction transaction) {
  transaction_ = std::move(transaction);
  const auto count = transaction_.recipients.size();
  results_.assign(count, {});
  progress_.assign(count, Progress::open);
  next_command_ = 0;
  accepted_ = 0;
  mail_refused_ = false;
  in_transaction_ = true;
  stage_ = Stage::mail;
  if (const auto result = unsuitable()) {
    decide_all(*result);
    finish_transaction();
    return;
  }
  refuse_unsendable();
  limit_recipients();
  if (std::all_of(progress_.begin(), progress_.end(),
                  [](Progress progress) { return progress == Progress::decided; })) {
    finish_transaction();
    return;
  }
  ++transactions_;
  demand_ = Demand::read;
  send_batch();
}

// RFC 8689 §4.2.1; the codes are those of its section 7.
std::optional<RecipientResult> ClientSession::unsuitable_for_requiretls() const {
  // §5: REQUIRETLS is no reason to lose a bounce.
  if (transaction_.requiretls == RequireTls::no || transaction_.sender.empty()) {
    return std::nullopt;
  }
  if (!in_tls_) {
    return RecipientResult{Disposition::unsuitable, Stage::mail, std::nullopt,
                           "The message requires TLS on every hop (REQUIRETLS, RFC 8689), and the "
                           "session has none.",
                           "5.7.10"};
  }
  if (!extensions_.requiretls) {
    return RecipientResult{Disposition::unsuitable, Stage::mail, std::nullopt,
                           "The message requires TLS on every hop (REQUIRETLS, RFC 8689), which "
                           "the server does not offer.",
                           "5.7.30"};
  }
  return std::nullopt;
}

std::optional<RecipientResult> ClientSession::unsuitable() const {
  if (auto result = unsuitable_for_requiretls()) {
    return result;
  }
  if (extensions_.size_limit && transaction_.size > *extensions_.size_limit) {
    return RecipientResult{Disposition::unsuitable, Stage::mail, std::nullopt,
                           fmt::format("The message has {} octets, the server takes at most {}.",
                                       transaction_.size, *extensions_.size_limit),
                           "5.3.4"};
  }
  if (transaction_.smtputf8 && !extensions_.smtputf8) {
    return RecipientResult{Disposition::unsuitable, Stage::mail, std::nullopt,
                           "The message needs SMTPUTF8, which the server does not offer.", "5.6.7"};
  }
  if (transaction_.eight_bit && !extensions_.eight_bit_mime && !settings_.force_8bit) {
    return RecipientResult{Disposition::unsuitable, Stage::mail, std::nullopt,
                           "The message holds 8-bit text and the server does not offer 8BITMIME.",
                           "5.6.3"};
  }
  return std::nullopt;
}

void ClientSession::refuse_unsendable() {
  if (!sendable(transaction_.sender) || !sendable(transaction_.ret) ||
      !sendable(transaction_.envid)) {
    decide_all({Disposition::rejected, Stage::mail, std::nullopt,
                "The sender address holds control characters.", "5.1.7"});
    return;
  }
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    if (!sendable(transaction_.recipients[i])) {
      decide(i, {Disposition::rejected, Stage::rcpt, std::nullopt,
                 "The recipient address is empty or holds control characters.", "5.1.3"});
    }
  }
}

// RFC 9422 RCPTMAX: what the server would refuse is not sent.
void ClientSession::limit_recipients() {
  if (!extensions_.rcpt_max) {
    return;
  }
  std::uint64_t used = 0;
  for (Progress& progress : progress_) {
    if (progress == Progress::open && ++used > *extensions_.rcpt_max) {
      progress = Progress::held;
    }
  }
}

// The answers are there. Recipients that were held back share a temporary failure of the message;
// a new transaction for them at once is right only if this one got somewhere.
void ClientSession::decide_held() {
  if (!extensions_.rcpt_max) {
    return;
  }
  RecipientResult result{
      Disposition::deferred, Stage::rcpt, std::nullopt,
      fmt::format("The server takes at most {} recipients a message.", *extensions_.rcpt_max),
      "4.5.3"};
  result.too_many = delivered_some() || accepted_ == 0;
  const auto failed =
      std::find_if(results_.begin(), results_.end(), [](const RecipientResult& other) {
        return other.disposition == Disposition::deferred && other.stage != Stage::rcpt;
      });
  if (failed != results_.end()) {
    result = *failed;
  }
  decide_all(result);
}

bool ClientSession::delivered_some() const {
  return std::any_of(results_.begin(), results_.end(), [](const RecipientResult& result) {
    return result.disposition == Disposition::delivered;
  });
}

std::string ClientSession::mail_command() const {
  auto command = "MAIL FROM:<" + transaction_.sender + ">";
  if (extensions_.size) {
    command += " SIZE=" + std::to_string(transaction_.size);
  }
  if (transaction_.eight_bit && extensions_.eight_bit_mime) {
    command += " BODY=8BITMIME";
  }
  if (transaction_.smtputf8) {
    command += " SMTPUTF8";
  }
  if (transaction_.requiretls == RequireTls::yes && in_tls_ && extensions_.requiretls) {
    command += " REQUIRETLS";
  }
  if (extensions_.dsn && !transaction_.ret.empty()) {
    command += " RET=" + transaction_.ret;
  }
  if (extensions_.dsn && !transaction_.envid.empty()) {
    command += " ENVID=" + transaction_.envid;
  }
  return command;
}

std::string ClientSession::rcpt_command(const ClientRecipient& recipient) const {
  auto command = "RCPT TO:<" + recipient.address + ">";
  if (extensions_.dsn && !recipient.notify.empty()) {
    command += " NOTIFY=" + recipient.notify;
  }
  if (extensions_.dsn && !recipient.orcpt.empty()) {
    command += " ORCPT=" + recipient.orcpt;
  }
  return command;
}

void ClientSession::send_next() {
  const auto count = transaction_.recipients.size();
  if (next_command_ == 0) {
    if (needs_rset_) {
      output_.append("RSET\r\n");
      awaited_.push_back({Stage::rset});
      needs_rset_ = false;
      return;
    }
    output_.append(mail_command()).append("\r\n");
    awaited_.push_back({Stage::mail});
    needs_rset_ = true;
  } else if (next_command_ <= count) {
    const auto index = next_command_ - 1;
    if (progress_[index] == Progress::open) {
      output_.append(rcpt_command(transaction_.recipients[index])).append("\r\n");
      awaited_.push_back({Stage::rcpt, index});
    }
  } else if (transaction_.purpose == Purpose::dry_run) {
    output_.append("RSET\r\n");
    awaited_.push_back({Stage::rset});
    needs_rset_ = false;
  } else {
    output_.append("DATA\r\n");
    awaited_.push_back({Stage::data});
  }
  ++next_command_;
}

void ClientSession::send_batch() {
  const std::size_t most = extensions_.pipelining ? kBatchCommands : 1;
  const auto octets = output_.size() + kBatchOctets;
  const auto data = transaction_.recipients.size() + 1;
  while (next_command_ <= data && awaited_.size() < most && output_.size() < octets) {
    if (next_command_ == data && awaited_.empty() && accepted_ == 0) {
      finish_transaction();
      return;
    }
    // RFC 3030 §4.2: without PIPELINING each chunk would have to wait for the answer to the last.
    if (next_command_ == data && extensions_.chunking && extensions_.pipelining &&
        transaction_.purpose != Purpose::dry_run) {
      if (awaited_.empty()) {
        begin_chunks();
        return;
      }
      break;  // content is not sent before anybody is there to get it
    }
    send_next();
  }
  stage_ = awaited_.front().stage;
}

}  // namespace relay::smtp
