#include "relay/net/tls_server_session.h"

#include <algorithm>

#include <openssl/ssl.h>

#include "relay/net/ascii.h"
#include "relay/net/tls_chain.h"
#include "relay/net/tls_verify.h"

namespace relay::net {

std::unique_ptr<TlsServerSession> TlsServerSession::create(const TlsServerContext& context) {
  SSL* ssl = SSL_new(context.get());
  return ssl == nullptr ? nullptr : std::unique_ptr<TlsServerSession>(new TlsServerSession(ssl));
}

TlsAccepted TlsServerSession::established() {
  set_open();
  TlsAccepted accepted{SSL_get_version(ssl()), SSL_get_cipher_name(ssl())};
  if (const X509* certificate = SSL_get0_peer_certificate(ssl())) {
    accepted.certificate.emplace();
    accepted.certificate->sha256 = fingerprints_of(certificate).certificate;
    accepted.certificate->vouched = SSL_get_verify_result(ssl()) == X509_V_OK;
    if (accepted.certificate->vouched) {
      accepted.certificate->names = dns_names_of(certificate);
      for (std::string& name : accepted.certificate->names) {
        std::ranges::transform(name, name.begin(), to_lower);
      }
    }
  }
  return accepted;
}

}  // namespace relay::net
