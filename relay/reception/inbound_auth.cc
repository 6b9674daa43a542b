// Inbound: who the client is, by its certificate or by AUTH.
#include <utility>

#include "relay/reception/inbound.h"

namespace relay::reception {

Inbound::Admitted Inbound::become(std::string name, std::string_view user) {
  const auto limits = sending_limits(listener_.rules, client_, user);
  auto standing = parts_.clients.admit(std::move(name), limits);
  if (!standing) {
    session_.turn_away(too_many_connections(limits));
    return Admitted::no;
  }
  standing_ = *std::move(standing);
  return Admitted::yes;
}

void Inbound::check_certificate() {
  if (tls_->certificate && is_allowed(listener_.rules, *tls_->certificate) &&
      become(counted_name(*tls_->certificate), {}) == Admitted::yes) {
    certificate_ = tls_->certificate->sha256;
    permission_.relaying = smtp::Relaying::allowed;
    session_.identified();
  }
}

void Inbound::check_credentials() {
  auto credentials = session_.take_credentials();
  claimed_user_ = std::move(credentials.user);
  if (parts_.throttle.blocked(client_.name, parts_.settings->limits.auth_failures,
                              parts_.clock.steady())) {
    log_auth_failure("too-many-failures");
    session_.authenticated(claimed_user_, smtp::AuthVerdict::blocked);
    return;
  }
  checking_credentials_ = true;
  checking_ = parts_.passwords.check(
      parts_.loop, std::move(credentials.password), listener_.files.users->hash_of(claimed_user_),
      [this](PasswordChecker::Answer answer) { checked_credentials(answer); });
}

void Inbound::checked_credentials(PasswordChecker::Answer answer) {
  switch (answer) {
    case PasswordChecker::Answer::right:
      if (become(claimed_user_, claimed_user_) == Admitted::no) {
        checking_credentials_ = false;
        (void)pump();
        return;
      }
      permission_.relaying = smtp::Relaying::allowed;
      session_.set_envelope_rules(envelope_rules(listener_.rules, client_, claimed_user_));
      decide_credentials(smtp::AuthVerdict::accepted);
      return;
    case PasswordChecker::Answer::wrong:
      log_auth_failure("wrong-credentials");
      auth_timer_.start(parts_.throttle.failed(client_.name, parts_.clock.steady()));
      return;
    case PasswordChecker::Answer::busy:
      parts_.log.warning("auth-busy", {{"client", client_.name}, {"user", claimed_user_}});
      decide_credentials(smtp::AuthVerdict::unavailable);
      return;
  }
}

void Inbound::decide_credentials(smtp::AuthVerdict verdict) {
  checking_credentials_ = false;
  touch();
  session_.authenticated(claimed_user_, verdict);
  (void)pump();
}

// The keys are a promise: fail2ban matches this line.
void Inbound::log_auth_failure(std::string_view reason) {
  parts_.log.warning("auth-failed", {{"client", client_.name},
                                     {"user", claimed_user_},
                                     {"reason", std::string(reason)},
                                     {"helo", session_.helo()}});
}

}  // namespace relay::reception
