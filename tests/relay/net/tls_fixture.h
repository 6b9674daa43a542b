// A scripted TLS server for tests, blocking, on a thread of its own.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <openssl/ssl.h>

#include "tests/relay/net/certificates.h"
#include "tests/relay/net/loop_fixture.h"

namespace support {

struct TlsServerOptions {
  int newest_version = 0;  ///< 0: the library's
  std::string ciphers{};   ///< empty: the library's
  /// Sent with the leaf.
  std::vector<Certificate> intermediates{};
};

/// Handshakes with each connection, then echoes until the peer ends.
class TlsServer {
 public:
  TlsServer(const Certificate& certificate, const TlsServerOptions& options)
      : context_(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free),
        server_([this](PeerSocket& socket) { serve(socket); }) {
    REQUIRE(SSL_CTX_use_certificate(context_.get(), certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context_.get(), certificate.key()) == 1);
    for (const auto& intermediate : options.intermediates) {
      REQUIRE(SSL_CTX_add1_chain_cert(context_.get(), intermediate.get()) == 1);
    }
    SSL_CTX_set_security_level(context_.get(), 0);
    REQUIRE(SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION) == 1);
    REQUIRE(SSL_CTX_set_max_proto_version(context_.get(), options.newest_version) == 1);
    if (!options.ciphers.empty()) {
      REQUIRE(SSL_CTX_set_cipher_list(context_.get(), options.ciphers.c_str()) == 1);
    }
    // Not by the macros: they hold C casts.
    SSL_CTX_callback_ctrl(context_.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                          reinterpret_cast<void (*)()>(&TlsServer::on_name));
    SSL_CTX_ctrl(context_.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG, 0, this);
  }

  [[nodiscard]] const relay::net::SocketAddress& address() const { return server_.address(); }
  /// The SNI of the last handshake; "" without one. Read it after the peer's answer arrived.
  [[nodiscard]] std::string last_name() const {
    const std::scoped_lock lock(mutex_);
    return last_name_;
  }

 private:
  static int on_name(SSL* ssl, int* /*alert*/, void* self) noexcept {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    auto* server = static_cast<TlsServer*>(self);
    const std::scoped_lock lock(server->mutex_);
    server->last_name_ = name != nullptr ? name : "";
    return SSL_TLSEXT_ERR_OK;
  }

  void serve(PeerSocket& socket) const {
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context_.get()), &SSL_free);
    SSL_set_fd(ssl.get(), socket.fd());
    if (SSL_accept(ssl.get()) != 1) {
      return;
    }
    std::array<char, 4096> buffer{};
    for (int n = 1; n > 0;) {
      n = SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()));
      if (n > 0) {
        SSL_write(ssl.get(), buffer.data(), n);
      }
    }
    SSL_shutdown(ssl.get());
  }

  mutable std::mutex mutex_;
  std::string last_name_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  PeerServer server_;
};

}  // namespace support
