#include "relay/net/tls_client_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <openssl/ssl.h>

#include "relay/net/tls_chain.h"
#include "relay/net/tls_revocation.h"

namespace relay::net {
namespace {

constexpr std::chrono::hours kLongestVerdict{1};

int session_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool set_floor(SSL* ssl, TlsFloor floor) {
  switch (floor) {
    case TlsFloor::tls12:
      SSL_set_security_level(ssl, 1);
      return SSL_set_min_proto_version(ssl, TLS1_2_VERSION) == 1;
    case TlsFloor::any:
      // RFC 7435: some protection for old servers beats falling back to plaintext.
      SSL_set_security_level(ssl, 0);
      SSL_set_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT);
      return SSL_set_min_proto_version(ssl, TLS1_VERSION) == 1;
  }
  return false;
}

// SSL_set_tlsext_host_name() without the macro's C cast; the name is copied.
bool send_name(SSL* ssl, const std::string& name) {
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  const_cast<char*>(name.c_str())) == 1;
}

TlsParameters parameters_of(const SSL* ssl) {
  TlsParameters parameters;
  parameters.version = SSL_get_version(ssl);
  parameters.cipher = SSL_get_cipher_name(ssl);
  parameters.resumed = SSL_session_reused(ssl) == 1;
  return parameters;
}

}  // namespace

TlsClientSession::TlsClientSession(const TlsClientOptions& options, Revocation revocation,
                                   ssl_st* ssl)
    : TlsSession(ssl),
      sessions_(options.sessions),
      clock_(options.clock),
      has_name_(options.reference_name.has_value()),
      describe_(options.chain),
      revocation_(revocation) {
  // Whatever the caller's key leaves out, a verdict holds for the same names, one floor and the
  // same TLSA records only.
  key_ = options.session_key + '\n' + (has_name_ ? options.reference_name->text() : std::string()) +
         '\n' + (options.floor == TlsFloor::tls12 ? "tls12" : "any") + '\n' +
         (options.dane ? options.dane->digest() : std::string()) + '\n' +
         (options.server_name ? options.server_name->text() : std::string());
}

TlsClientSession::~TlsClientSession() {
  SSL_set_ex_data(ssl(), session_index(), nullptr);
  forget_faults(ssl());
  if (state() == State::open) {
    // OpenSSL spoils the tickets of a session that is freed without a shutdown; SMTP frames its
    // own end, so a missing close_notify says nothing about the session.
    SSL_set_shutdown(ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
}

std::unique_ptr<TlsClientSession> TlsClientSession::create(TlsClientContext& context,
                                                           const TlsClientOptions& options) {
  SSL* ssl = SSL_new(context.get());
  if (ssl == nullptr) {
    return nullptr;
  }
  std::unique_ptr<TlsClientSession> session(
      new TlsClientSession(options, context.revocation(), ssl));
  return session->prepare(options) ? std::move(session) : nullptr;
}

bool TlsClientSession::prepare(const TlsClientOptions& options) {
  SSL* ssl = this->ssl();
  if (SSL_set_ex_data(ssl, session_index(), this) != 1 || !set_floor(ssl, options.floor) ||
      (options.dane && !expect_records(ssl, options.dane, dane_)) ||
      !expect_name(ssl, options.reference_name, found_)) {
    return false;
  }
  const auto& server_name = options.server_name ? options.server_name : options.reference_name;
  if (server_name && !send_name(ssl, server_name->text())) {
    return false;
  }
  if (sessions_ != nullptr) {
    offered_ = sessions_->take(key_, now());
  }
  if (offered_ && SSL_set_session(ssl, offered_->session.get()) != 1) {
    offered_.reset();
  }
  return true;
}

TlsOutcome TlsClientSession::established() {
  const WallTime established_at = now();
  set_open();
  parameters_ = parameters_of(ssl());
  if (parameters_.resumed && offered_) {
    adopt(std::move(*offered_));
  } else {
    judge(established_at);
  }
  offered_.reset();
  for (auto& ticket : std::exchange(early_tickets_, {})) {
    store(std::move(ticket), established_at);
  }
  if (verdict_.empty()) {
    return TlsVerified{parameters_};
  }
  return TlsUnverified{parameters_, verdict_};
}

/// The certificate was not shown again: what it proved then holds.
void TlsClientSession::adopt(ResumableSession&& session) {
  verdict_ = std::move(session.faults);
  verdict_until_ = session.usable_until;
  parameters_.dane = session.parameters.dane;
  parameters_.dane_faults = std::move(session.parameters.dane_faults);
  parameters_.certificate_sha256 = std::move(session.parameters.certificate_sha256);
  parameters_.key_sha256 = std::move(session.parameters.key_sha256);
  // A TLS 1.2 server need not send a new ticket, and the old one may be used again.
  if (early_tickets_.empty() && SSL_version(ssl()) < TLS1_3_VERSION) {
    early_tickets_.push_back(std::move(session.session));
  }
}

void TlsClientSession::judge(WallTime at) {
  if (const X509* certificate = SSL_get0_peer_certificate(ssl())) {
    Fingerprints prints = fingerprints_of(certificate);
    parameters_.certificate_sha256 = std::move(prints.certificate);
    parameters_.key_sha256 = std::move(prints.key);
  } else {
    found_.add({CertificateFaultKind::not_trusted, "no-certificate"});
  }
  if (!found_.complete() && found_.faults().empty()) {
    // OpenSSL gave up (no memory, say) before it called any certificate bad.
    found_.add({CertificateFaultKind::not_trusted, "not-verified"});
  }
  if (!has_name_) {
    found_.add({CertificateFaultKind::not_trusted, "no-reference-name"});
  }
  if (revocation_ == Revocation::stapled) {
    judge_revocation();
  }
  verdict_ = found_.faults();
  parameters_.dane = dane_.match;
  parameters_.dane_faults = dane_.faults;
  if (describe_ == DescribeChain::yes) {
    parameters_.chain = chain_summary(ssl());
  }
  verdict_until_ = std::min(chain_not_after(ssl()).value_or(at), at + kLongestVerdict);
}

void TlsClientSession::judge_revocation() {
  const StapleVerdict staple = judge_staple(ssl(), verified_issuer(ssl()));
  parameters_.staple = staple.finding;
  if (staple.error != X509_V_OK) {
    found_.add(staple.error, 0);
  }
  if (!dane_.issuer) {
    return;
  }
  const StapleVerdict by_records = judge_staple(ssl(), dane_.issuer.get());
  parameters_.staple = by_records.finding;
  if (by_records.error != X509_V_OK) {
    dane_.match = DaneMatch::chain_faults;
    dane_.faults.push_back(
        {CertificateFaultKind::not_trusted, verify_error_symbol(by_records.error)});
  }
}

void TlsClientSession::store(std::shared_ptr<ssl_session_st> ticket, WallTime at) {
  const std::chrono::seconds life(SSL_SESSION_get_ticket_lifetime_hint(ticket.get()));
  const bool tls13 = SSL_SESSION_get_protocol_version(ticket.get()) >= TLS1_3_VERSION;
  // RFC 8446 §4.6.1: zero means discard at once; RFC 5077 §3.3: zero means unspecified.
  const auto until = tls13 || life > std::chrono::seconds::zero()
                         ? std::min(verdict_until_, at + life)
                         : verdict_until_;
  if (until > at && SSL_SESSION_is_resumable(ticket.get()) == 1) {
    sessions_->put(key_, {std::move(ticket), verdict_, until, parameters_});
  }
}

void TlsClientSession::collect_tickets(ssl_ctx_st* context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, &TlsClientSession::on_ticket);
}

int TlsClientSession::on_ticket(ssl_st* ssl, ssl_session_st* ticket) noexcept {
  auto* self = static_cast<TlsClientSession*>(SSL_get_ex_data(ssl, session_index()));
  if (self == nullptr || self->sessions_ == nullptr) {
    return 0;
  }
  std::shared_ptr<ssl_session_st> owned(ticket, &SSL_SESSION_free);
  if (self->state() == State::handshake) {
    self->early_tickets_.push_back(std::move(owned));
  } else {
    self->store(std::move(owned), self->now());
  }
  return 1;
}

}  // namespace relay::net
