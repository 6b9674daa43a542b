// ServerSession's greeting, EHLO, and the commands that lead to nothing.
#include <algorithm>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"
#include "relay/smtp/server_session.h"

namespace relay::smtp {
namespace {

constexpr std::size_t kMaxHelo = 255;

// Any name a client may think it has, but nothing that could break out of a Received field.
bool is_helo_name(std::string_view name) {
  static constexpr std::string_view kSpecials = "<>()\"\\,;@";
  return !name.empty() && name.size() <= kMaxHelo &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return is_graphic(c) && kSpecials.find(c) == std::string_view::npos;
         });
}

}  // namespace

void ServerSession::greet() {
  reply(fmt::format("220 {} ESMTP stsrelay{}", settings_.hostname, staging_note()));
}

void ServerSession::on_greeting_command(const Command& command) {
  const auto name = command.argument;
  if (!is_helo_name(name)) {
    refuse("helo", {501, "5.5.4", "Syntax: EHLO hostname"});
    return;
  }
  if (!helo_.empty() && !spend_junk()) {
    return;
  }
  reset();
  helo_ = name;
  esmtp_ = command.verb == Verb::ehlo;
  if (!esmtp_) {
    reply(fmt::format("250 {}{}", settings_.hostname, staging_note()));
    return;
  }
  reply(fmt::format("250-{}{}", settings_.hostname, staging_note()));
  reply("250-PIPELINING");
  reply(fmt::format("250-SIZE {}", settings_.content.message_size));
  reply("250-8BITMIME");
  reply("250-SMTPUTF8");
  reply("250-ENHANCEDSTATUSCODES");
  reply("250-CHUNKING");
  reply("250-DSN");
  if (settings_.security == Security::starttls) {
    reply("250-STARTTLS");
  }
  if (settings_.security == Security::tls && settings_.authentication != Authentication::off) {
    reply("250-AUTH PLAIN LOGIN");
  }
  if (settings_.security == Security::tls) {
    // RFC 8689 §2: only in the reply to the EHLO that follows STARTTLS.
    reply("250-REQUIRETLS");
  }
  reply(fmt::format("250 LIMITS RCPTMAX={}", settings_.recipients));
}

// Whether one more command without use is allowed; if not, the session is over.
bool ServerSession::spend_junk() {
  if (++junk_ <= settings_.junk_commands) {
    return true;
  }
  cut_off(stage(), "junk", {421, "4.7.0", "Too many idle commands"});
  return false;
}

void ServerSession::on_junk(const Command& command) {
  if (!spend_junk()) {
    return;
  }
  if (command.verb == Verb::vrfy) {
    reply("252 2.5.1 Cannot VRFY user; send some mail and see");
  } else if (command.verb == Verb::expn || command.verb == Verb::etrn) {
    refuse("command", {502, "5.5.1", "Command not provided here"});
  } else if (command.verb == Verb::help) {
    reply("214 2.0.0 RFC 5321");
  } else {
    if (command.verb == Verb::rset) {
      reset();
    }
    reply("250 2.0.0 Ok");
  }
}

}  // namespace relay::smtp
