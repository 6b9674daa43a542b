// ClientSession's mail transactions, second part: what the server answers, the content, the result.
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"
#include "relay/smtp/client_session.h"

namespace relay::smtp {
namespace {

// RFC 5321 §4.5.3.1.10: 452 and, from old servers, 552.
bool says_too_many(const Reply& reply) {
  if (reply.code != 452 && reply.code != 552) {
    return false;
  }
  const auto code = reply.enhanced_code();
  return code.empty() ? lower(reply.text()).find("too many recipients") != std::string::npos
                      : code.substr(1) == ".5.3";
}

std::string code_for(const Reply& reply) {
  auto code = reply.enhanced_code();
  return code.empty() ? fmt::format("{}.0.0", reply.severity()) : code;
}

RecipientResult answered(Stage stage, const Reply& reply) {
  const auto disposition = reply.severity() == 2   ? Disposition::delivered
                           : reply.severity() == 4 ? Disposition::deferred
                                                   : Disposition::rejected;
  return {disposition, stage, reply, {}, code_for(reply)};
}

std::string code_for(const SessionEnd& end) {
  if (end.reply) {
    const auto code = end.reply->enhanced_code();
    return code.starts_with('4') ? code : "4.0.0";
  }
  switch (end.kind) {
    case SessionEnd::Kind::timeout:
      return "4.4.1";
    case SessionEnd::Kind::protocol:
      return "4.5.0";
    case SessionEnd::Kind::lost:
    case SessionEnd::Kind::refused:
    case SessionEnd::Kind::quit:
      return "4.4.2";
    case SessionEnd::Kind::tls_requirement:
    case SessionEnd::Kind::tls_failed:
      return "4.7.5";
    case SessionEnd::Kind::credentials:
      return "4.7.0";
  }
  return "4.0.0";
}

}  // namespace

// After an answer: waits for the next, sends more, or is done.
void ClientSession::advance() {
  if (!in_transaction_) {
    return;
  }
  if (!awaited_.empty()) {
    stage_ = awaited_.front().stage;
  } else if (mail_refused_ || next_command_ > transaction_.recipients.size() + 1) {
    finish_transaction();
  } else {
    send_batch();
  }
}

void ClientSession::on_transaction_reply(const Reply& reply) {
  if (awaited_.empty()) {
    on_early_reply(reply);
    return;
  }
  const auto awaited = awaited_.front();
  if (reply.code == 421 && awaited.stage != Stage::final_dot) {
    end_session({SessionEnd::Kind::refused, stage_, reply,
                 "The server closed the session: " + reply.text()},
                AfterEnd::just_close);
    return;
  }
  awaited_.pop_front();
  switch (awaited.stage) {
    case Stage::rset:
      if (reply.severity() != 2) {
        fault("RSET was answered with " + reply.text());
      } else if (transaction_.purpose == Purpose::dry_run) {
        end_dry_run();
      }
      break;
    case Stage::mail:
      on_mail(reply);
      break;
    case Stage::rcpt:
      on_rcpt(awaited.recipient, reply);
      break;
    case Stage::data:
      on_data(reply);
      return;
    case Stage::body:
      on_chunk(reply);
      return;
    case Stage::final_dot:
      on_final_dot(reply);
      return;
    case Stage::connect:
    case Stage::greeting:
    case Stage::ehlo:
    case Stage::starttls:
    case Stage::tls_handshake:
    case Stage::auth:
    case Stage::quit:
      break;
  }
  advance();
}

void ClientSession::on_mail(const Reply& reply) {
  if (reply.severity() == 3) {
    fault("MAIL was answered with " + reply.text());
  } else if (reply.severity() != 2) {
    mail_refused_ = true;
    decide_all(answered(Stage::mail, reply));
  }
}

void ClientSession::on_rcpt(std::size_t index, const Reply& reply) {
  if (progress_[index] != Progress::open) {
    return;
  }
  if (reply.severity() == 3) {
    fault("RCPT was answered with " + reply.text());
  } else if (reply.severity() == 2) {
    progress_[index] = Progress::accepted;
    ++accepted_;
  } else {
    auto result = answered(Stage::rcpt, reply);
    if (says_too_many(reply)) {
      result.disposition = Disposition::deferred;
      result.too_many = true;
      result.enhanced_code = "4.5.3";
    }
    decide(index, std::move(result));
  }
}

void ClientSession::on_data(const Reply& reply) {
  if (reply.code == 354) {
    if (accepted_ > 0) {
      stage_ = Stage::body;
      demand_ = Demand::send_body;
    } else {
      // RFC 2920 §3.1: a server that takes DATA without recipients gets an empty message, which
      // it must refuse.
      output_.append(".\r\n");
      awaited_.push_back({Stage::final_dot});
      stage_ = Stage::final_dot;
    }
  } else if (reply.severity() <= 3) {
    fault("DATA was answered with " + reply.text());
  } else {
    decide_accepted(answered(Stage::data, reply));
    finish_transaction();
  }
}

void ClientSession::body(std::string_view slice) {
  if (demand_ != Demand::send_body) {
    return;
  }
  if (chunks_ == Chunks::off) {
    stuffer_.stuff(slice, output_);
    return;
  }
  if (!chunk_.empty()) {
    send_chunk("");
  }
  stuffer_.stuff(slice, chunk_);
}

void ClientSession::body_end() {
  if (demand_ != Demand::send_body) {
    return;
  }
  if (chunks_ == Chunks::off) {
    stuffer_.finish(output_);
  } else {
    stuffer_.finish(chunk_);
    send_chunk(" LAST");
  }
  awaited_.push_back({Stage::final_dot});
  stage_ = Stage::final_dot;
  demand_ = Demand::read;
}

void ClientSession::body_failed() {
  if (demand_ != Demand::send_body) {
    return;
  }
  decide_accepted({Disposition::deferred, Stage::body, std::nullopt,
                   "The message could not be read from the queue.", "4.3.0"});
  end_session({SessionEnd::Kind::quit, Stage::body, std::nullopt,
               "The message could not be read from the queue."},
              AfterEnd::just_close);
}

void ClientSession::on_final_dot(const Reply& reply) {
  if (reply.severity() == 3) {
    awaited_.push_back({Stage::final_dot});
    fault("The final dot was answered with " + reply.text());
    return;
  }
  needs_rset_ = reply.severity() != 2 || accepted_ == 0 || chunks_ == Chunks::refused;
  decide_accepted(answered(Stage::final_dot, reply));
  if (reply.code == 421) {
    end_session({SessionEnd::Kind::refused, Stage::final_dot, reply,
                 "The server closed the session: " + reply.text()},
                AfterEnd::just_close);
    return;
  }
  finish_transaction();
}

// The server spoke while we were sending content: it will not take the message, and the stream
// cannot be brought back into step.
void ClientSession::on_early_reply(const Reply& reply) {
  if (reply.severity() < 4) {
    fault("A reply before the end of the message: " + reply.text());
    return;
  }
  if (reply.code != 421) {
    decide_accepted(answered(Stage::body, reply));
  }
  end_session({SessionEnd::Kind::refused, Stage::body, reply,
               "The server interrupted the message: " + reply.text()},
              AfterEnd::just_close);
}

void ClientSession::decide(std::size_t index, RecipientResult result) {
  results_[index] = std::move(result);
  progress_[index] = Progress::decided;
}

void ClientSession::decide_accepted(const RecipientResult& result) {
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    if (progress_[i] == Progress::accepted) {
      decide(i, result);
    }
  }
}

void ClientSession::decide_all(const RecipientResult& result) {
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    if (progress_[i] != Progress::decided) {
      decide(i, result);
    }
  }
}

void ClientSession::abandon_transaction(const SessionEnd& end) {
  const bool dot_unanswered = !awaited_.empty() && awaited_.back().stage == Stage::final_dot;
  RecipientResult result{Disposition::not_tried, end.stage, end.reply,
                         end.reply ? std::string{} : end.detail, code_for(end)};
  if (dot_unanswered) {
    // RFC 1047: the server may or may not have the message.
    result.disposition = Disposition::unknown;
    decide_accepted(result);
    result.disposition = Disposition::not_tried;
  }
  decide_all(result);
  if (end.kind == SessionEnd::Kind::protocol) {
    distrust_refusals();
  }
  close_transaction();
}

// What the server took, it would have got. (An RSET that rides in front of MAIL finds none taken.)
void ClientSession::end_dry_run() {
  decide_accepted({Disposition::delivered, Stage::rcpt, std::nullopt,
                   "The server takes the recipient; nothing was sent (dry run).", "2.1.5"});
}

// Which answer belongs to which command is no longer sure, so none of them may bounce anybody.
void ClientSession::distrust_refusals() {
  for (auto& result : results_) {
    if (result.disposition == Disposition::rejected) {
      result.disposition = Disposition::deferred;
      result.enhanced_code = "4.5.0";
    }
  }
}

void ClientSession::close_transaction() {
  const bool delivered = delivered_some();
  for (auto& result : results_) {
    // Sending the rest at once helps only if this transaction got somewhere.
    result.too_many = result.too_many && (delivered || !result.reply);
  }
  result_ = TransactionResult{std::exchange(results_, {}), extensions_.dsn};
  progress_.clear();
  awaited_.clear();
  transaction_ = {};
  stuffer_ = {};
  chunks_ = Chunks::off;
  chunk_.clear();
  in_transaction_ = false;
}

void ClientSession::finish_transaction() {
  decide_held();
  close_transaction();
  become_ready();
}

}  // namespace relay::smtp
