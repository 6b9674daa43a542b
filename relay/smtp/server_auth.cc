// ServerSession's AUTH: PLAIN (RFC 4616) and LOGIN, inside TLS only (RFC 4954 §4).
#include <utility>

#include "relay/smtp/ascii.h"
#include "relay/smtp/base64.h"
#include "relay/smtp/server_session.h"

namespace relay::smtp {
namespace {

constexpr int kMaxAuthFailures = 3;
constexpr std::string_view kAskUser = "334 VXNlcm5hbWU6";      // "Username:"
constexpr std::string_view kAskPassword = "334 UGFzc3dvcmQ6";  // "Password:"

}  // namespace

std::optional<Refusal> ServerSession::untimely_auth() const {
  if (settings_.authentication == Authentication::off) {
    return Refusal{502, "5.5.1", "AUTH is not offered here"};
  }
  if (settings_.security != Security::tls) {
    return Refusal{538, "5.7.11", "AUTH is possible only inside TLS: STARTTLS first"};
  }
  if (!esmtp_) {
    return Refusal{503, "5.5.1", "EHLO first"};
  }
  if (mail_given_) {
    return Refusal{503, "5.5.1", "A transaction is in progress"};
  }
  if (!user_.empty()) {
    return Refusal{503, "5.5.1", "Authenticated already"};
  }
  return std::nullopt;
}

void ServerSession::on_auth(const Command& command) {
  if (const auto refusal = untimely_auth()) {
    refuse("AUTH", *refusal);
    return;
  }
  const auto blank = command.argument.find(' ');
  const auto mechanism = command.argument.substr(0, blank);
  const bool initial = blank != std::string_view::npos;
  if (equal_ignoring_case(mechanism, "PLAIN")) {
    auth_step_ = AuthStep::plain;
  } else if (equal_ignoring_case(mechanism, "LOGIN")) {
    auth_step_ = AuthStep::login_user;
  } else {
    refuse("AUTH", {504, "5.5.4", "Mechanisms here: PLAIN LOGIN"});
    return;
  }
  if (!initial) {
    reply(auth_step_ == AuthStep::plain ? "334 " : kAskUser);
    return;
  }
  const auto response = command.argument.substr(blank + 1);
  on_auth_response(response == "=" ? "" : response);  // RFC 4954 §4: an empty response
}

void ServerSession::on_auth_response(std::string_view line) {
  const auto step = std::exchange(auth_step_, AuthStep::none);
  if (line == "*") {
    refuse("AUTH", {501, "5.7.0", "Authentication cancelled"});
    return;
  }
  auto response = base64_decode(line);
  if (!response) {
    refuse("AUTH", {501, "5.5.2", "Response is not base64"});
    return;
  }
  switch (step) {
    case AuthStep::plain:
      on_plain(*response);
      return;
    case AuthStep::login_user:
      credentials_.user = *std::move(response);
      auth_step_ = AuthStep::login_password;
      reply(kAskPassword);
      return;
    case AuthStep::login_password:
      credentials_.password = *std::move(response);
      demand_ = Demand::check_credentials;
      return;
    case AuthStep::none:
      return;
  }
}

// RFC 4616 §2: [authzid] NUL authcid NUL passwd.
void ServerSession::on_plain(std::string_view message) {
  const auto first = message.find('\0');
  const auto second = first == std::string_view::npos ? first : message.find('\0', first + 1);
  if (second == std::string_view::npos ||
      message.find('\0', second + 1) != std::string_view::npos) {
    refuse("AUTH", {501, "5.5.2", "Not a message of the mechanism PLAIN"});
    return;
  }
  const auto acting = message.substr(0, first);
  const auto user = message.substr(first + 1, second - first - 1);
  if (!acting.empty() && acting != user) {
    refuse("AUTH", {535, "5.7.8", "Acting for another user is not possible"});
    return;
  }
  credentials_ = {std::string(user), std::string(message.substr(second + 1))};
  demand_ = Demand::check_credentials;
}

Credentials ServerSession::take_credentials() {
  return std::exchange(credentials_, {});
}

void ServerSession::authenticated(const std::string& user, AuthVerdict verdict) {
  if (demand_ != Demand::check_credentials) {
    return;
  }
  demand_ = Demand::read;
  switch (verdict) {
    case AuthVerdict::accepted:
      user_ = user;
      settings_.relaying = Relaying::allowed;
      reply("235 2.7.0 Authentication successful");
      break;
    case AuthVerdict::rejected:
      reject_credentials();
      break;
    case AuthVerdict::unavailable:
      reply(coded({454, "4.7.0", "Authentication is not possible now"}));
      break;
    case AuthVerdict::blocked:
      reply(coded({454, "4.7.0", "Too many failed authentications; try again later"}));
      break;
  }
  process();
}

// Counts like other refusals, but the driver has told the log more than we know.
void ServerSession::reject_credentials() {
  const Refusal wrong{535, "5.7.8", "Authentication credentials invalid"};
  if (++auth_failures_ < kMaxAuthFailures) {
    answer_refusal("AUTH", coded(wrong));
  } else {
    reply(coded(wrong));
    cut_off("AUTH", "auth-failures", {421, "4.7.0", "Too many failed authentications"});
  }
}

void ServerSession::identified() {
  identified_ = true;
  settings_.relaying = Relaying::allowed;
}

// RFC 4954 §6: 530 tells a client that it may come back with credentials.
std::optional<Refusal> ServerSession::missing_authentication() const {
  if (settings_.authentication == Authentication::off || identified_ || !user_.empty()) {
    return std::nullopt;
  }
  return Refusal{530, "5.7.0",
                 settings_.security == Security::tls ? "Authentication required"
                                                     : "STARTTLS and authentication required"};
}

}  // namespace relay::smtp
