#include "relay/smtp/client_session.h"

#include <utility>
#include <variant>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

using std::chrono::milliseconds;

std::string first_word(const Reply& reply) {
  const std::string_view line = reply.lines.empty() ? std::string_view{} : reply.lines.front();
  return printable(line.substr(0, line.find_first_of(" \t")), 255);
}

}  // namespace

std::string_view name(Stage stage) {
  switch (stage) {
    case Stage::connect:
      return "connect";
    case Stage::greeting:
      return "greeting";
    case Stage::ehlo:
      return "ehlo";
    case Stage::starttls:
      return "starttls";
    case Stage::tls_handshake:
      return "tls-handshake";
    case Stage::auth:
      return "auth";
    case Stage::mail:
      return "mail";
    case Stage::rcpt:
      return "rcpt";
    case Stage::data:
      return "data";
    case Stage::body:
      return "body";
    case Stage::final_dot:
      return "final-dot";
    case Stage::rset:
      return "rset";
    case Stage::quit:
      return "quit";
  }
  return {};
}

ClientSession::ClientSession(ClientSettings settings) : settings_(std::move(settings)) {
  if (settings_.tls_start == TlsStart::implicit) {
    stage_ = Stage::tls_handshake;
    demand_ = Demand::start_tls;
  }
}

milliseconds ClientSession::timeout() const {
  const auto& timeouts = settings_.timeouts;
  switch (stage_) {
    case Stage::connect:
      return timeouts.connect;
    case Stage::greeting:
      return timeouts.greeting;
    case Stage::ehlo:
      return timeouts.ehlo;
    case Stage::starttls:
    case Stage::tls_handshake:
      return timeouts.starttls;
    case Stage::auth:
    case Stage::mail:
      return timeouts.mail;
    case Stage::rcpt:
      return timeouts.rcpt;
    case Stage::data:
      return timeouts.data;
    case Stage::body:
      return timeouts.body;
    case Stage::final_dot:
      return timeouts.final_dot;
    case Stage::rset:
    case Stage::quit:
      return timeouts.rset;
  }
  return timeouts.rset;
}

std::string ClientSession::take_output() {
  return std::exchange(output_, {});
}

std::optional<TransactionResult> ClientSession::take_result() {
  return std::exchange(result_, std::nullopt);
}

void ClientSession::receive(std::string_view bytes) {
  while (!bytes.empty() && demand_ != Demand::close) {
    if (demand_ == Demand::start_tls) {
      // RFC 3207 §4.2 and CVE-2011-0411: plaintext after the 220 must not be taken for TLS output.
      tls_established(net::TlsFailed{"starttls-injection"});
      return;
    }
    auto reply = parser_.feed(bytes);
    if (!reply) {
      fault(std::move(reply.error().reason));
    } else if (*reply) {
      const bool said_all = output_.empty();
      on_reply(std::move(**reply));
      if (in_transaction_ && said_all && !output_.empty() && !bytes.empty()) {
        out_of_step();
      }
    }
  }
}

// More has come than was asked for, before the next command is on its way: who took it for that
// command's answer would bounce a recipient who was accepted, or worse.
void ClientSession::out_of_step() {
  output_.clear();
  end_session({SessionEnd::Kind::protocol, stage_, std::nullopt,
               fmt::format("An answer came before its command: {}", name(stage_))},
              AfterEnd::just_close);
}

void ClientSession::on_reply(Reply reply) {
  ++answers_;
  if (in_transaction_) {
    on_transaction_reply(reply);
    return;
  }
  if (demand_ == Demand::ready) {
    const auto kind = reply.code == 421 ? SessionEnd::Kind::refused : SessionEnd::Kind::protocol;
    end_session({kind, stage_, reply, "The server spoke without being asked: " + reply.text()},
                AfterEnd::just_close);
    return;
  }
  if (stage_ == Stage::greeting) {
    on_greeting(reply);
  } else if (stage_ == Stage::ehlo) {
    on_ehlo(std::move(reply));
  } else if (stage_ == Stage::auth) {
    on_auth(reply);
  } else {
    on_starttls(reply);
  }
}

void ClientSession::on_greeting(const Reply& reply) {
  server_name_ = first_word(reply);
  if (reply.code != 220) {
    end_session({SessionEnd::Kind::refused, Stage::greeting, reply,
                 "The server refused the session in its greeting: " + reply.text()},
                reply.code == 421 ? AfterEnd::just_close : AfterEnd::say_quit);
    return;
  }
  say_ehlo();
}

void ClientSession::say_ehlo() {
  said_helo_ = false;
  send("EHLO " + settings_.helo_name, Stage::ehlo);
}

void ClientSession::send(std::string_view line, Stage stage) {
  output_.append(line).append("\r\n");
  stage_ = stage;
  demand_ = Demand::read;
}

void ClientSession::on_ehlo(Reply reply) {
  if (reply.severity() == 2) {
    use_extensions(reply);
    return;
  }
  // RFC 5321 §4.1.1.1 and §4.1.4: HELO only for a server that does not know EHLO.
  const bool unknown_command =
      reply.code == 500 || reply.code == 501 || reply.code == 502 || reply.code == 504;
  if (unknown_command && !said_helo_) {
    said_helo_ = true;
    send("HELO " + settings_.helo_name, Stage::ehlo);
    return;
  }
  auto detail = "The server refused our EHLO: " + reply.text();
  const auto after = reply.code == 421 ? AfterEnd::just_close : AfterEnd::say_quit;
  end_session({SessionEnd::Kind::refused, Stage::ehlo, std::move(reply), std::move(detail)}, after);
}

void ClientSession::use_extensions(const Reply& reply) {
  server_name_ = first_word(reply);
  extensions_ = said_helo_ ? Extensions{} : Extensions::parse(reply);
  if (in_tls_ || !settings_.tls.uses_tls()) {
    session_open();
  } else if (extensions_.starttls) {
    send("STARTTLS", Stage::starttls);
  } else {
    without_tls("not-advertised", reply);
  }
}

void ClientSession::on_starttls(const Reply& reply) {
  if (reply.code == 220) {
    stage_ = Stage::tls_handshake;
    demand_ = Demand::start_tls;
    return;
  }
  without_tls(fmt::format("starttls-reply-{}", reply.code), reply);
}

void ClientSession::without_tls(std::string reason, const Reply& reply) {
  tls_outcome_ = net::TlsNotOffered{std::move(reason)};
  const bool over = reply.code == 421;
  if (!settings_.tls.met_by(*tls_outcome_)) {
    const bool refused = stage_ == Stage::starttls;
    end_session(
        {SessionEnd::Kind::tls_requirement, stage_, refused ? std::optional(reply) : std::nullopt,
         refused ? "The server refused STARTTLS: " + reply.text()
                 : std::string("The server does not offer STARTTLS.")},
        over ? AfterEnd::just_close : AfterEnd::say_quit);
  } else if (over) {
    end_session({SessionEnd::Kind::refused, stage_, reply,
                 "The server closed the session: " + reply.text()},
                AfterEnd::just_close);
  } else {
    session_open();
  }
}

void ClientSession::tls_established(net::TlsOutcome outcome) {
  tls_outcome_ = std::move(outcome);
  const auto* failed = std::get_if<net::TlsFailed>(&*tls_outcome_);
  if (settings_.tls.met_by(*tls_outcome_)) {
    // RFC 3207 §4.2: what was learnt before the handshake is forgotten.
    in_tls_ = true;
    extensions_ = {};
    parser_ = {};
    if (settings_.tls_start == TlsStart::implicit) {
      stage_ = Stage::greeting;
      demand_ = Demand::read;
    } else {
      say_ehlo();
    }
    return;
  }
  if (failed == nullptr) {
    end_session({SessionEnd::Kind::tls_requirement, Stage::tls_handshake, std::nullopt,
                 "The server's certificate does not prove its name."},
                AfterEnd::say_quit);
    return;
  }
  // Nobody speaks plaintext at a port of implicit TLS.
  const bool may_retry = settings_.tls_start == TlsStart::starttls &&
                         settings_.tls.after_failed_handshake().has_value();
  end_session({may_retry ? SessionEnd::Kind::tls_failed : SessionEnd::Kind::tls_requirement,
               Stage::tls_handshake, std::nullopt, "The TLS handshake failed: " + failed->reason},
              AfterEnd::just_close);
}

void ClientSession::become_ready() {
  demand_ = Demand::ready;
  if (extensions_.mail_max && transactions_ >= *extensions_.mail_max) {
    quit();
  }
}

void ClientSession::timed_out() {
  if (demand_ == Demand::close) {
    return;
  }
  if (demand_ == Demand::start_tls) {
    tls_established(net::TlsFailed{"handshake-timeout"});
    return;
  }
  end_session({SessionEnd::Kind::timeout, stage_, std::nullopt,
               fmt::format("No answer at {} within {} s.", name(stage_),
                           std::chrono::duration_cast<std::chrono::seconds>(timeout()).count())},
              AfterEnd::just_close);
}

void ClientSession::closed(std::string_view detail) {
  if (demand_ == Demand::close) {
    return;
  }
  if (demand_ == Demand::start_tls) {
    tls_established(net::TlsFailed{"handshake-eof"});
    return;
  }
  end_session({SessionEnd::Kind::lost, stage_, std::nullopt,
               fmt::format("Connection lost at {}: {}", name(stage_), detail)},
              AfterEnd::just_close);
}

void ClientSession::quit() {
  if (demand_ == Demand::close) {
    return;
  }
  const bool idle = demand_ == Demand::ready;
  end_session({SessionEnd::Kind::quit, idle ? Stage::quit : stage_, std::nullopt,
               idle ? "" : "We ended the session early."},
              idle ? AfterEnd::say_quit : AfterEnd::just_close);
}

void ClientSession::fault(std::string detail) {
  end_session(
      {SessionEnd::Kind::protocol, stage_, std::nullopt, "Not an SMTP reply: " + std::move(detail)},
      AfterEnd::just_close);
}

void ClientSession::end_session(SessionEnd end, AfterEnd after) {
  if (in_transaction_) {
    abandon_transaction(end);
  }
  if (after == AfterEnd::say_quit) {
    output_.append("QUIT\r\n");
  }
  end_ = std::move(end);
  stage_ = Stage::quit;
  demand_ = Demand::close;
}

}  // namespace relay::smtp
