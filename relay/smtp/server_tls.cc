// ServerSession's way into TLS (RFC 3207, RFC 8314 §3.3).
#include <utility>

#include "relay/smtp/server_session.h"

namespace relay::smtp {

void ServerSession::on_starttls(const Command& command) {
  if (!command.argument.empty()) {
    refuse("STARTTLS", {501, "5.5.4", "Syntax: STARTTLS"});
  } else if (settings_.security != Security::starttls) {
    refuse("STARTTLS", settings_.security == Security::tls
                           ? Refusal{503, "5.5.1", "TLS is active already"}
                           : Refusal{502, "5.5.1", "STARTTLS is not offered here"});
  } else if (helo_.empty() || mail_given_) {
    refuse("STARTTLS", {503, "5.5.1", mail_given_ ? "A transaction is in progress" : "EHLO first"});
  } else if (used_ < input_.size()) {
    // RFC 3207 §4.2, RFC 2920 §3.1: STARTTLS ends a group of commands. What follows it came from
    // someone in between, or from a client that must not believe it is safe.
    cut_off("STARTTLS", "starttls-injection", {421, "4.7.0", "Commands came after STARTTLS"});
  } else {
    reply("220 2.0.0 Ready to start TLS");
    demand_ = Demand::start_tls;
  }
}

void ServerSession::tls_established() {
  if (demand_ != Demand::start_tls) {
    return;
  }
  const auto before = std::exchange(settings_.security, Security::tls);
  reset();
  helo_.clear();
  esmtp_ = false;
  input_.clear();
  used_ = 0;
  demand_ = Demand::read;
  if (before == Security::implicit) {
    greet();
  }
}

void ServerSession::tls_failed(std::string_view reason) {
  if (demand_ != Demand::start_tls) {
    return;
  }
  if (settings_.security == Security::implicit && reason == "handshake-eof") {
    demand_ = Demand::close;  // somebody looked whether the port is open
  } else {
    break_off("tls-failed", reason);
  }
}

// Ends the session where no reply can be said: a handshake is under way.
void ServerSession::break_off(std::string_view reason, std::string_view detail) {
  const auto* stage = settings_.security == Security::implicit ? "connect" : "STARTTLS";
  note({stage, {}, {}, std::string(detail), std::string(reason)});
  output_.clear();
  demand_ = Demand::close;
  input_.clear();
  used_ = 0;
}

}  // namespace relay::smtp
