// ClientSession's AUTH (RFC 4954), between EHLO and the first transaction.
#include <utility>

#include "relay/smtp/client_session.h"

namespace relay::smtp {

void ClientSession::session_open() {
  if (settings_.auth == nullptr) {
    become_ready();
    return;
  }
  stage_ = Stage::auth;
  if (!may_authenticate()) {
    without_credentials("The session is not safe enough for the credentials (auth.send_over).");
    return;
  }
  dialogue_ = AuthDialogue::choose(*settings_.auth, extensions_.auth);
  if (!dialogue_) {
    without_credentials(
        extensions_.auth.words.empty()
            ? std::string("The server offers no AUTH.")
            : "The server offers no AUTH mechanism that fits the credentials, but " +
                  extensions_.auth.words + ".");
    return;
  }
  send(dialogue_->command(), Stage::auth);
}

// The requirement that the session has met came from whoever knows what the credentials need; this
// makes sure of it (RFC 4954 §4).
bool ClientSession::may_authenticate() const {
  switch (settings_.auth->send_over) {
    case ClientAuth::SendOver::verified:
      return in_tls_ && settings_.tls.authenticates();
    case ClientAuth::SendOver::encrypted:
      return in_tls_;
    case ClientAuth::SendOver::plaintext:
      return true;
  }
  return false;
}

void ClientSession::on_auth(const Reply& reply) {
  if (reply.code == 334) {
    if (const auto answer = dialogue_->answer()) {
      send(*answer, Stage::auth);
    } else {
      fault("AUTH goes on after it was cancelled");
    }
    return;
  }
  dialogue_.reset();
  if (reply.severity() == 2) {
    become_ready();
  } else if (reply.code == 421) {
    end_session({SessionEnd::Kind::refused, Stage::auth, reply,
                 "The server closed the session: " + reply.text()},
                AfterEnd::just_close);
  } else {
    without_credentials("The server refused the credentials: " + reply.text(), reply);
  }
}

void ClientSession::without_credentials(std::string detail, std::optional<Reply> reply) {
  end_session({SessionEnd::Kind::credentials, Stage::auth, std::move(reply), std::move(detail)},
              AfterEnd::say_quit);
}

}  // namespace relay::smtp
