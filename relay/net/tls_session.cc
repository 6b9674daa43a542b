#include "relay/net/tls_session.h"

#include <algorithm>
#include <string_view>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace relay::net {
namespace {

constexpr int kAlertReasons = SSL_AD_REASON_OFFSET;  // a received alert N has reason 1000 + N
constexpr int kAlertNumbers = 256;

std::string dashed(std::string_view text) {
  std::string result = "tls-";
  for (const char c : text) {
    result += c == ' ' ? '-' : c;
  }
  return result;
}

std::string reason_text(unsigned long error) {
  switch (ERR_GET_REASON(error)) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
      return "no-shared-version";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_CIPHERS_AVAILABLE:
    case SSL_R_UNKNOWN_CIPHER_RETURNED:
    case SSL_R_WRONG_CIPHER_RETURNED:
      return "no-shared-cipher";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return "handshake-eof";
    default:
      break;
  }
  const char* text = ERR_reason_error_string(error);
  return text != nullptr ? dashed(text) : "tls-error-" + std::to_string(ERR_GET_REASON(error));
}

}  // namespace

void TlsSession::FreeSsl::operator()(ssl_st* ssl) const {
  SSL_free(ssl);
}

TlsSession::TlsSession(ssl_st* ssl) : ssl_(ssl) {}
TlsSession::~TlsSession() = default;

ssl_st* TlsSession::share() const {
  SSL_up_ref(ssl_.get());
  return ssl_.get();
}

void TlsSession::send_close_notify() {
  if (state_ == State::open) {
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
}

std::string TlsSession::failure_reason(std::span<const unsigned long> errors) {
  return library_failure(errors).value_or("handshake-eof");
}

std::optional<std::string> TlsSession::library_failure(std::span<const unsigned long> errors) {
  // libevent mixes SSL_ERROR_ values and system errors (a reset, say) into the list.
  const auto found = std::find_if(errors.begin(), errors.end(), [](unsigned long error) {
    return ERR_GET_LIB(error) != 0 && ERR_GET_LIB(error) != ERR_LIB_SYS;
  });
  if (found == errors.end()) {
    return std::nullopt;
  }
  const int reason = ERR_GET_REASON(*found);
  if (ERR_GET_LIB(*found) == ERR_LIB_SSL && reason >= kAlertReasons &&
      reason < kAlertReasons + kAlertNumbers) {
    return "tls-alert-" + std::to_string(reason - kAlertReasons);
  }
  return reason_text(*found);
}

std::string tls_library_error() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* text = ERR_reason_error_string(error);
  return text != nullptr ? text : "unknown TLS library error";
}

}  // namespace relay::net
