#include "relay/net/tls_server.h"

#include <cerrno>
#include <fstream>
#include <utility>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "relay/net/handles.h"
#include "relay/net/tls_session.h"

namespace relay::net {
namespace {

using Part = TlsServerFault::Part;
using Loaded = Expected<void, TlsServerFault>;

constexpr const char* kServerCiphers = "DEFAULT:!aNULL:!eNULL";
constexpr std::string_view kSessionContext = "stsrelay";

struct FreeServerContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

Unexpected<TlsServerFault> server_fault(Part part, std::string reason) {
  return Unexpected<TlsServerFault>({part, std::move(reason)});
}

Loaded readable(Part part, const std::string& file) {
  errno = 0;
  std::ifstream stream(file);
  if (stream) {
    stream.peek();  // a directory can be opened, but not be read
  }
  const int error = errno;
  if (!stream.is_open() || error == EISDIR) {
    return server_fault(part, file + " cannot be read: " + system_message(error));
  }
  return {};
}

// Without this OpenSSL would ask at the terminal.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) noexcept {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Loaded load_certificate(SSL_CTX* context, const std::string& file) {
  if (auto found = readable(Part::certificate, file); !found) {
    return found;
  }
  if (SSL_CTX_use_certificate_chain_file(context, file.c_str()) != 1) {
    return server_fault(
        Part::certificate,
        file + " holds no certificate in PEM form that can be used (" + tls_library_error() + ")");
  }
  return {};
}

Loaded load_key(SSL_CTX* context, const TlsServerOptions& options) {
  const bool own_file = !options.key_file.empty();
  const auto& file = own_file ? options.key_file : options.certificate_file;
  const auto part = own_file ? Part::key : Part::certificate;
  if (auto found = readable(part, file); !found) {
    return found;
  }
  bool encrypted = false;
  SSL_CTX_set_default_passwd_cb(context, &no_password);
  SSL_CTX_set_default_passwd_cb_userdata(context, &encrypted);
  const bool used = SSL_CTX_use_PrivateKey_file(context, file.c_str(), SSL_FILETYPE_PEM) == 1;
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  if (used) {
    return {};
  }
  if (encrypted) {
    ERR_clear_error();
    return server_fault(part,
                        file +
                            " is protected by a password; store the key without one, readable "
                            "only for this daemon");
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
    ERR_clear_error();
    return server_fault(
        part, file + " holds the key of another certificate than " + options.certificate_file);
  }
  return server_fault(part, file + " holds no private key in PEM form that can be used (" +
                                tls_library_error() + ")");
}

Loaded load_client_ca(SSL_CTX* context, const std::string& file) {
  if (auto found = readable(Part::client_ca, file); !found) {
    return found;
  }
  auto* names = SSL_load_client_CA_file(file.c_str());
  if (names == nullptr || SSL_CTX_load_verify_file(context, file.c_str()) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return server_fault(Part::client_ca, file + " holds no CA certificates in PEM form (" +
                                             tls_library_error() + ")");
  }
  SSL_CTX_set_client_CA_list(context, names);  // takes it over
  return {};
}

// The verdict is read after the handshake: a certificate may matter by its fingerprint alone.
int go_on(int /*verified*/, X509_STORE_CTX* /*state*/) noexcept {
  return 1;
}

bool set_rules(SSL_CTX* context, const TlsServerOptions& options) {
  const int version =
      options.minimum_version == TlsServerVersion::tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  // Each session proves its certificates anew; and some clients break on tickets they never use.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  if (options.client_certificate == AskForCertificate::yes) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, &go_on);
  }
  return SSL_CTX_set_num_tickets(context, 0) == 1 &&
         SSL_CTX_set_cipher_list(context, kServerCiphers) == 1 &&
         SSL_CTX_set_min_proto_version(context, version) == 1 &&
         SSL_CTX_set_dh_auto(context, 1) == 1 &&
         SSL_CTX_set_session_id_context(
             context, reinterpret_cast<const unsigned char*>(kSessionContext.data()),
             static_cast<unsigned>(kSessionContext.size())) == 1;
}

}  // namespace

Expected<std::shared_ptr<TlsServerContext>, TlsServerFault> TlsServerContext::create(
    const TlsServerOptions& options) {
  ERR_clear_error();
  std::unique_ptr<SSL_CTX, FreeServerContext> context(SSL_CTX_new(TLS_server_method()));
  if (!context || !set_rules(context.get(), options)) {
    return server_fault(Part::certificate, "TLS cannot be set up: " + tls_library_error());
  }
  auto loaded = load_certificate(context.get(), options.certificate_file).and_then([&] {
    return load_key(context.get(), options);
  });
  if (loaded && !options.client_ca_file.empty()) {
    loaded = load_client_ca(context.get(), options.client_ca_file);
  }
  if (!loaded) {
    return Unexpected<TlsServerFault>(std::move(loaded.error()));
  }
  return std::shared_ptr<TlsServerContext>(new TlsServerContext(context.release()));
}

TlsServerContext::~TlsServerContext() {
  SSL_CTX_free(context_);
}

}  // namespace relay::net
