#include "relay/smtp/server_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

constexpr std::size_t kLongLine = 2049;   // MAIL and RCPT with all parameters, and the CR
constexpr std::size_t kLine = 513;        // RFC 5321 §4.5.3.1.4, and the CR
constexpr std::size_t kAuthLine = 12289;  // RFC 4954 §4, §4.1, and the CR
constexpr int kMaxLongLines = 3;
constexpr std::size_t kMaxRejections = 64;

// RFC 5321 knows none of these words; a browser or an HTTP client was led here (ALPACA). The first
// word decides, as soon as it is whole: the line may be long, and commands may stand in its body.
bool speaks_http(std::string_view line) {
  constexpr std::array<std::string_view, 10> kMethods{
      "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "TRACE", "DELETE", "PATCH", "PRI"};
  constexpr std::size_t kLongest = 7;
  const auto end = line.substr(0, kLongest + 1).find_first_of(" \t\r\n");
  return end != std::string_view::npos &&
         std::any_of(kMethods.begin(), kMethods.end(), [word = line.substr(0, end)](auto method) {
           return equal_ignoring_case(word, method);
         });
}

std::size_t line_limit(std::string_view line) {
  const auto verb = line.substr(0, 4);
  const bool envelope = equal_ignoring_case(verb, "MAIL") || equal_ignoring_case(verb, "RCPT");
  return equal_ignoring_case(verb, "AUTH") ? kAuthLine : envelope ? kLongLine : kLine;
}

}  // namespace

ServerSession::ServerSession(ServerSettings settings)
    : settings_(std::move(settings)), check_(settings_.content) {
  if (settings_.security == Security::implicit) {
    demand_ = Demand::start_tls;
  } else {
    greet();
  }
}

std::string_view ServerSession::protocol() const {
  if (!esmtp_) {
    return "SMTP";
  }
  if (settings_.security == Security::tls) {
    if (!user_.empty()) {
      return smtputf8_ ? "UTF8SMTPSA" : "ESMTPSA";
    }
    return smtputf8_ ? "UTF8SMTPS" : "ESMTPS";
  }
  return smtputf8_ ? "UTF8SMTP" : "ESMTP";
}

std::string ServerSession::take_output() {
  return std::exchange(output_, {});
}
std::string ServerSession::take_content() {
  return std::exchange(content_, {});
}
std::vector<Rejection> ServerSession::take_rejections() {
  return std::exchange(rejections_, {});
}

void ServerSession::reply(std::string_view text) {
  output_.append(text).append("\r\n");
}

std::string ServerSession::coded(const Refusal& refusal) const {
  // 550 to 559 speak of mail; 500 to 504 of commands, which are as wrong a second time.
  if (settings_.refusals == Refusals::softened && refusal.code >= 550 && refusal.code < 560) {
    return coded({refusal.code - 100, "4" + refusal.enhanced_code.substr(1), refusal.text});
  }
  // RFC 2034 §3: enhanced codes are for clients that said EHLO.
  return esmtp_ || helo_.empty()
             ? fmt::format("{} {} {}", refusal.code, refusal.enhanced_code, refusal.text)
             : fmt::format("{} {}", refusal.code, refusal.text);
}

// To be called before the transaction is reset.
void ServerSession::note(Rejection rejection) {
  if (rejections_.size() >= kMaxRejections && rejection.end.empty()) {
    return;
  }
  if (mail_given_) {
    rejection.sender = transaction_.sender.empty() ? "<>" : transaction_.sender;
  }
  rejections_.push_back(std::move(rejection));
}

// Where the dialogue is, for the log.
std::string_view ServerSession::stage() const {
  if (demand_ == Demand::store_message) {
    return "content";
  }
  switch (mode_) {
    case Mode::data:
      return "DATA";
    case Mode::bdat:
      return "BDAT";
    case Mode::command:
      break;
  }
  if (mail_given_) {
    return in_bdat_ ? "BDAT" : transaction_.recipients.empty() ? "MAIL" : "RCPT";
  }
  return helo_.empty() ? "connect" : "command";
}

// Every refusal counts: a client that only errs is slowed down, then sent away.
void ServerSession::refuse(std::string_view stage, const Refusal& refusal, std::string recipients) {
  const auto text = coded(refusal);
  note({std::string(stage), {}, std::move(recipients), text, {}});
  answer_refusal(stage, text);
}

void ServerSession::answer_refusal(std::string_view stage, const std::string& text) {
  if (++errors_ >= settings_.hard_errors) {
    reply(text);
    cut_off(stage, "errors", {421, "4.7.0", "Too many errors"});
  } else if (errors_ > settings_.soft_errors && demand_ == Demand::read) {
    pause_time_ = kPauseTime;
    held_reply_ = text;
    demand_ = Demand::pause;
  } else {
    reply(text);
  }
}

void ServerSession::resumed() {
  if (demand_ == Demand::pause) {
    reply(std::exchange(held_reply_, {}));
    demand_ = Demand::read;
    process();
  }
}

void ServerSession::close_with(std::string_view text) {
  if (!held_reply_.empty()) {
    reply(std::exchange(held_reply_, {}));
  }
  reply(text);
  lose_receiving();
  demand_ = Demand::close;
  input_.clear();
  used_ = 0;
}

// Ends the session with a 421 that has its line in the log.
void ServerSession::cut_off(std::string_view stage, std::string_view reason, const Refusal& why) {
  const auto text =
      fmt::format("{} {} {} {}", why.code, why.enhanced_code, settings_.hostname, why.text);
  note({std::string(stage), {}, {}, text, std::string(reason)});
  close_with(text);
}

// Also in answer to AUTH: 421 may answer any command (RFC 5321 §3.8), and says that the session is
// over and why. 454 would be taken for the credentials' failure: mail programs ask for another
// password then, libraries report an authentication error, and the connection would stay.
void ServerSession::turn_away(std::string text) {
  if (demand_ != Demand::close) {
    cut_off(demand_ == Demand::check_credentials ? "AUTH" : stage(), "connections",
            {421, "4.7.0", std::move(text)});
  }
}

void ServerSession::timed_out(Overrun overrun) {
  if (demand_ == Demand::close || demand_ == Demand::store_message) {
    return;
  }
  if (demand_ == Demand::start_tls) {
    break_off("silence", "handshake-timeout");
    return;
  }
  switch (overrun) {
    case Overrun::silence:
      cut_off(stage(), "silence", {421, "4.4.2", "Timeout"});
      return;
    case Overrun::rate:
      cut_off(stage(), "rate", {421, "4.4.2", "Message comes too slowly"});
      return;
    case Overrun::session:
      cut_off(stage(), "session", {421, "4.4.2", "Session lasted too long"});
      return;
  }
}

void ServerSession::lost(std::string_view detail) {
  if (demand_ == Demand::close) {
    return;
  }
  if (mail_given_ || mode_ != Mode::command || discarding_ || !input_.empty()) {
    note({std::string(stage()), {}, {}, std::string(detail), "lost"});
  }
  lose_receiving();
  demand_ = Demand::close;
}

bool ServerSession::between_messages() const {
  return mode_ == Mode::command && !in_bdat_ && demand_ != Demand::store_message;
}

void ServerSession::shut_down() {
  stopping_ = true;
  if (demand_ == Demand::start_tls) {
    break_off("shutdown", "handshake under way");
  } else if (demand_ != Demand::close && between_messages()) {
    cut_off(stage(), "shutdown", {421, "4.3.2", "Shutting down"});
  }
}

void ServerSession::receive(std::string_view bytes) {
  if (demand_ == Demand::close) {
    return;
  }
  input_.append(bytes);
  if (demand_ == Demand::read) {
    process();
  }
}

void ServerSession::process() {
  // A demand other than read stops at this octet; the rest waits.
  auto before = input_.size() + 1;
  while (demand_ == Demand::read && used_ < input_.size() && input_.size() - used_ != before &&
         !(stopping_ && between_messages())) {
    before = input_.size() - used_;
    switch (mode_) {
      case Mode::command:
        take_line();
        break;
      case Mode::data:
        take_data();
        break;
      case Mode::bdat:
        take_bdat();
        break;
    }
  }
  if (stopping_ && demand_ == Demand::read) {
    shut_down();
  }
  input_.erase(0, used_);
  used_ = 0;
}

// Whether a line, or the client's first octet, is no SMTP at all.
bool ServerSession::judge_start() {
  const auto line = std::string_view(input_).substr(used_);
  const bool tls_hello = first_line_ && line.front() == '\x16';
  // Who is no trusted proxy and says whom it speaks for would have itself taken for another.
  const bool proxy_header = first_line_ && line.starts_with("PROXY ");
  if (tls_hello || proxy_header || speaks_http(line)) {
    cut_off(stage(),
            tls_hello      ? "tls-hello"
            : proxy_header ? "proxy-header"
                           : "http",
            {421, "4.7.0", "This is an SMTP port"});
    return true;
  }
  return false;
}

void ServerSession::take_line() {
  if (discarding_) {
    discard_line();
    return;
  }
  const bool in_auth = auth_step_ != AuthStep::none;
  if (!in_auth && judge_start()) {
    return;
  }
  const auto rest = std::string_view(input_).substr(used_);
  const auto newline = rest.find('\n');
  if (std::min(newline, rest.size()) > (in_auth ? kAuthLine : line_limit(rest))) {
    discarding_ = true;
    discard_line();
    return;
  }
  if (newline == std::string_view::npos) {
    return;
  }
  used_ += newline + 1;
  first_line_ = false;
  auto line = rest.substr(0, newline);
  if (line.find('\0') != std::string_view::npos) {
    refuse("command", {500, "5.5.2", "NUL in command"});
    if (demand_ != Demand::close) {
      cut_off("command", "nul", {421, "4.7.0", "Closing"});
    }
    return;
  }
  if (!line.ends_with('\r')) {
    refuse("command", {500, "5.5.2", "Bare <LF>: lines end in <CR><LF>"});
    return;
  }
  line.remove_suffix(1);
  on_line(line);
}

// Keeps in step after a line that is too long, without storing it.
void ServerSession::discard_line() {
  const auto newline = input_.find('\n', used_);
  if (newline == std::string::npos) {
    used_ = input_.size();
    return;
  }
  used_ = newline + 1;
  discarding_ = false;
  first_line_ = false;
  auth_step_ = AuthStep::none;
  if (++long_lines_ == kMaxLongLines) {
    cut_off("command", "line-length", {421, "4.7.0", "Too many long lines"});
  } else {
    refuse("command", {500, "5.5.2", "Line too long"});
  }
}

void ServerSession::on_line(std::string_view line) {
  if (std::any_of(line.begin(), line.end(), [](char c) { return is_control(c) && c != '\t'; })) {
    refuse("command", {500, "5.5.2", "Control character in command"});
    return;
  }
  if (auth_step_ != AuthStep::none) {
    on_auth_response(line);
  } else {
    on_command(parse_command(line));
  }
}

void ServerSession::on_command(const Command& command) {
  switch (command.verb) {
    case Verb::helo:
    case Verb::ehlo:
      on_greeting_command(command);
      return;
    case Verb::mail:
      on_mail(command);
      return;
    case Verb::rcpt:
      on_rcpt(command);
      return;
    case Verb::data:
      on_data(command);
      return;
    case Verb::bdat:
      on_bdat(command);
      return;
    case Verb::starttls:
      on_starttls(command);
      return;
    case Verb::auth:
      on_auth(command);
      return;
    case Verb::quit:
      close_with("221 2.0.0 Bye");
      return;
    case Verb::rset:
    case Verb::noop:
    case Verb::vrfy:
    case Verb::expn:
    case Verb::help:
    case Verb::etrn:
      on_junk(command);
      return;
    case Verb::unknown:
      refuse("command", {500, "5.5.1", "Command not recognized"});
      return;
  }
}

}  // namespace relay::smtp
